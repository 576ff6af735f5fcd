//go:build bench && linux

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const maxAnswer = 64 << 10 // bytes of an answer to a reader

// run is what the readers of one round saw.
type run struct {
	rate float64 // requests a second
	p99  float64 // ms
	cpu  float64 // µs of the server's processor time a request
}

// served is a server in a process of its own.
type served struct {
	url string
	pid int
}

// at is a path of it.
func (s served) at(path string) served { return served{s.url + path, s.pid} }

// clockTick is the unit of /proc/pid/stat, USER_HZ (proc_pid_stat(5)).
const clockTick = 10 * time.Millisecond

// cpu is the processor time the server has used.
func (s served) cpu(t *testing.T) (sum time.Duration) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third on
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * clockTick
	}
	return sum
}

// drive asks for items over kept connections, each one request at a time, for so long.
// It is one thread that waits for all of them, and its requests are made beforehand: what
// is measured shares the machine with it, and what it takes is taken from that.
func drive(t *testing.T, to served, query string, during time.Duration) run {
	t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(to.url, "http://"), "/")
	requests := make([][]byte, readItems)
	for i := range requests {
		requests[i] = []byte("GET /" + path + readItem(i) + query + " HTTP/1.1\r\nHost: bench\r\n\r\n")
	}
	took := make([]time.Duration, 0, 200_000*int(during.Seconds()+1))
	used, began := to.cpu(t), time.Now()
	took, err := driven(host, requests, began.Add(during), took)
	wall := time.Since(began)
	used = to.cpu(t) - used
	if err != nil {
		t.Fatal(err)
	}
	if len(took) == 0 {
		t.Fatal("nothing was answered")
	}
	slices.Sort(took)
	n := float64(len(took))
	r := run{rate: n / wall.Seconds(), p99: took[len(took)*99/100].Seconds() * 1e3, cpu: used.Seconds() * 1e6 / n}
	t.Logf("%s: %.0f/s, p50 %v, p99 %.2f ms, %.1f µs of the server's processors each", to.url, r.rate, took[len(took)/2], r.p99, r.cpu)
	return r
}

// asker is one connection.
type asker struct {
	fd   int
	next int // request
	sent time.Time
	in   []byte
	got  int
}

// driven asks until a time, and says how long each answer took.
func driven(host string, requests [][]byte, until time.Time, took []time.Duration) (_ []time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	addr, err := netip.ParseAddrPort(host)
	if err != nil {
		return nil, fmt.Errorf("reading an address: %w", err)
	}
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a poll: %w", err)
	}
	defer func() { _ = syscall.Close(poll) }()
	askers := make([]asker, readers)
	open := 0
	defer func() {
		for i := range askers[:open] {
			_ = syscall.Close(askers[i].fd)
		}
	}()
	for i := range askers {
		a := &askers[i]
		if a.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("making a socket: %w", err)
		}
		open++
		if err := syscall.Connect(a.fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
			return nil, fmt.Errorf("connecting: %w", err)
		}
		if err := errors.Join(syscall.SetNonblock(a.fd, true), syscall.SetsockoptInt(a.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)); err != nil {
			return nil, fmt.Errorf("setting up a connection: %w", err)
		}
		if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, a.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}); err != nil {
			return nil, fmt.Errorf("polling a connection: %w", err)
		}
		a.in, a.next, a.sent = make([]byte, maxAnswer), i*7919%len(requests), time.Now()
		if err := a.ask(requests); err != nil {
			return nil, err
		}
	}
	events := make([]syscall.EpollEvent, readers)
	for under := readers; under > 0; {
		n, err := syscall.EpollWait(poll, events, int((10 * time.Second).Milliseconds()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return took, fmt.Errorf("waiting for answers: %w", err)
		}
		if n == 0 {
			return took, errors.New("nothing is answered")
		}
		for _, e := range events[:n] {
			a := &askers[e.Fd]
			whole, err := a.read()
			if err != nil {
				return took, err
			}
			if !whole {
				continue
			}
			now := time.Now()
			took = append(took, now.Sub(a.sent))
			if !now.Before(until) {
				under--
				continue
			}
			a.sent, a.got, a.next = now, 0, (a.next+104_729)%len(requests)
			if err := a.ask(requests); err != nil {
				return took, err
			}
		}
	}
	return took, nil
}

// ask sends a request, which is less than a socket takes at once.
func (a *asker) ask(requests [][]byte) error {
	n, err := syscall.Write(a.fd, requests[a.next])
	if err == nil && n < len(requests[a.next]) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	return nil
}

// read takes what is there, and says whether the answer is whole.
func (a *asker) read() (whole bool, err error) {
	n, err := syscall.Read(a.fd, a.in[a.got:])
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading an answer: %w", err)
	case n == 0:
		return false, errors.New("the connection was closed, or an answer is too long")
	}
	a.got += n
	in := a.in[:a.got]
	head, body, ok := bytes.Cut(in, []byte("\r\n\r\n"))
	if !ok {
		return false, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
		return false, fmt.Errorf("answered %s", head)
	}
	if _, after, ok := bytes.Cut(head, []byte("\r\nContent-Length: ")); ok {
		text, _, _ := bytes.Cut(after, []byte("\r\n"))
		size, err := strconv.Atoi(string(text))
		if err != nil {
			return false, fmt.Errorf("reading an answer's length: %w", err)
		}
		return len(body) >= size, nil
	}
	if bytes.Contains(head, []byte("\r\nTransfer-Encoding: chunked")) {
		return bytes.HasSuffix(body, []byte("\r\n0\r\n\r\n")), nil
	}
	return false, errors.New("the answer has no length")
}

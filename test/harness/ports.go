package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are taken below the range from which the kernel serves outgoing
// connections: a broker that was killed must find its port free again.
const (
	lowestPort  = 20000
	highestPort = 32000
)

var portsGiven struct {
	sync.Mutex
	set map[int]bool
}

// freePorts returns n loopback ports that nobody listens on and that this process
// has not handed out before.
func freePorts(n int) ([]int, error) {
	portsGiven.Lock()
	defer portsGiven.Unlock()
	if portsGiven.set == nil {
		portsGiven.set = map[int]bool{}
	}
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if portsGiven.set[port] {
			continue
		}
		ln, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			return nil, fmt.Errorf("closing port %d: %w", port, err)
		}
		portsGiven.set[port] = true
		ports = append(ports, port)
	}
	return nil, errors.New("no free loopback ports")
}

// Port returns a free loopback port.
func Port() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

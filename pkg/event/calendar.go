package event

import "github.com/stockweave/stockweave/pkg/inventory"

// The calendar that four digits of a year can write.
const (
	firstDay = -719162 // 0001-01-01
	lastDay  = 2932896 // 9999-12-31
)

const (
	dayMillis   = 86_400_000
	daysPerEra  = 146_097 // 400 years
	eraToEpoch  = 719_468 // 0000-03-01 to 1970-01-01
	digitsShort = "0000-00-00"
)

// parseDate reads 2006-01-02 into days since 1970-01-01.
func parseDate(s string) (int32, bool) {
	if len(s) != len(digitsShort) || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	number := func(from, to int) int {
		n := 0
		for i := from; i < to; i++ {
			if s[i] < '0' || s[i] > '9' {
				return -1
			}
			n = n*10 + int(s[i]-'0')
		}
		return n
	}
	y, m, d := number(0, 4), number(5, 7), number(8, 10)
	if y < 1 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, false
	}
	day := daysOf(y, m, d)
	if string(appendDate(nil, day)) != s { // 31 April, 29 February
		return 0, false
	}
	return day, true
}

// daysOf counts in years that begin in March, so that the leap day comes last.
func daysOf(y, m, d int) int32 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yearOfEra := y % 400
	dayOfYear := (153*(m-3)+2)/5 + d - 1
	return int32(era*daysPerEra + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear - eraToEpoch)
}

// appendDate writes days since 1970-01-01, within the calendar, as 2006-01-02.
func appendDate(b []byte, day int32) []byte {
	z := int(day) + eraToEpoch
	era := z / daysPerEra
	dayOfEra := z % daysPerEra
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*dayOfYear + 2) / 153
	d := dayOfYear - (153*shifted+2)/5 + 1
	m := shifted + 3
	y := yearOfEra + era*400
	if m > 12 {
		m -= 12
		y++
	}
	return append(b, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-',
		byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
}

// appendInstant writes RFC 3339 in UTC with milliseconds; nothing for a time
// beyond the calendar.
func appendInstant(b []byte, t inventory.Instant) []byte {
	day, ms := int64(t)/dayMillis, int64(t)%dayMillis
	if ms < 0 {
		day, ms = day-1, ms+dayMillis
	}
	if day < firstDay || day > lastDay {
		return b
	}
	b = appendDate(b, int32(day))
	h, m, s := ms/3_600_000, ms/60_000%60, ms/1000%60
	ms %= 1000
	return append(b, 'T', byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10), ':',
		byte('0'+s/10), byte('0'+s%10), '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

package format

import (
	"fmt"
	"strconv"
	"strings"
)

// maxLevels bounds the depth of a hierarchy; shipment, order, tare, pack, item are five.
const maxLevels = 16

// Loop is a loop of a hierarchy: what its segment states, and where that puts it.
type Loop struct {
	Number, Parent, Level string // empty: not stated
	Above                 int    // index of the loop above, which comes before it; -1 at the top
	Depth                 int    // loops above
	// Flag is parent_missing or parent_unknown where no loop is of the parent's number,
	// empty else.
	Flag string
}

// Hierarchy puts loops, in their order, below each other: HL of X12, CPS of EDIFACT.
//
// Where infer is set and a loop names no parent, or one that there is not, its level
// tells it: a level that is open already closes what is below it, another is below the
// last. The error says that it is too deep.
func Hierarchy(loops []Loop, infer bool) error {
	// Most number their loops 1, 2, 3; numbers are of the last loop that has them.
	var numbers map[string]int
	for i := range loops {
		l := &loops[i]
		above, known := -1, false
		if numbers != nil {
			above, known = numbers[l.Parent]
		} else if n := numberOf(l.Parent); n >= 1 && n <= i && loops[n-1].Number == l.Parent {
			above, known = n-1, true
		}
		if l.Parent == "" || !known {
			above = -1
			if infer && i > 0 {
				above = inferred(loops[:i], l.Level)
			}
			switch {
			case l.Parent != "" && l.Parent != "0":
				l.Flag = "parent_unknown"
			case above >= 0:
				l.Flag = "parent_missing"
			}
		}
		l.Above, l.Depth = above, 0
		if above >= 0 {
			l.Depth = loops[above].Depth + 1
		}
		if l.Depth > maxLevels {
			return fmt.Errorf("more than %d levels", maxLevels)
		}
		if numbers == nil && !isNumber(l.Number, i+1) {
			numbers = make(map[string]int, len(loops))
			for k := range i {
				numbers[loops[k].Number] = k
			}
		}
		if numbers != nil && l.Number != "" {
			numbers[l.Number] = i
		}
	}
	return nil
}

// numberOf is a text as a number, 0 where it is none or a large one.
func numberOf(s string) int {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, _ := strconv.Atoi(s)
	return n
}

// isNumber says whether a text is n as it is written.
func isNumber(s string, n int) bool {
	var buffer [20]byte
	return s == string(strconv.AppendInt(buffer[:0], int64(n), 10))
}

// inferred is the loop that one of a level belongs below, -1 for none.
func inferred(before []Loop, level string) int {
	for at := len(before) - 1; at >= 0; at = before[at].Above {
		if before[at].Level == level {
			return before[at].Above
		}
	}
	return len(before) - 1
}

// Up are the indexes of the loops above one, the nearest first.
func Up(loops []Loop, of int) []int {
	up := make([]int, 0, loops[of].Depth)
	for at := loops[of].Above; at >= 0; at = loops[at].Above {
		up = append(up, at)
	}
	return up
}

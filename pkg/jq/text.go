package jq

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// expression is a regular expression known before a run; nil when it is not, or none.
func expression(n node) *regexp.Regexp {
	s, ok := n.val.(string)
	if !n.constant || !ok {
		return nil
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil // gojq says what is wrong, when it is used
	}
	return re
}

func (c *compiler) test(arg node) node {
	re := expression(arg)
	return pair(arg, identity(), func(text, in any) (any, error) {
		if s, ok := in.(string); ok && re != nil {
			return re.MatchString(s), nil
		}
		return c.asks.do("test($a)", in, text)
	})
}

func (c *compiler) capture(re *regexp.Regexp, text any) node {
	names := re.SubexpNames()
	return lift(func(in any) (any, error) {
		s, ok := in.(string)
		if !ok {
			return c.asks.do("capture($a)", in, text)
		}
		at := re.FindStringSubmatchIndex(s)
		if at == nil {
			return none, nil
		}
		var members []Member
		for i, name := range names {
			switch {
			case name == "":
			case at[2*i] < 0:
				members = append(members, Member{name, nil})
			default:
				members = append(members, Member{name, s[at[2*i]:at[2*i+1]]})
			}
		}
		return Ordered(members), nil
	})
}

// replace is sub or gsub by a text that is known, of what is never empty.
func (c *compiler) replace(arg, by node, all bool) (node, error) {
	re := expression(arg)
	to, ok := by.val.(string)
	if !by.constant || !ok || re == nil {
		return node{}, unable("sub of what is computed")
	}
	if tree, err := syntax.Parse(re.String(), syntax.Perl); err != nil || !consumes(tree) {
		return node{}, unable("sub of what may be empty")
	}
	ask, n := "sub($a; $b)", 1
	if all {
		ask, n = "gsub($a; $b)", -1
	}
	return lift(func(in any) (any, error) {
		s, ok := in.(string)
		if !ok || !utf8.ValidString(s) {
			return c.asks.do(ask, in, arg.val, to)
		}
		found := re.FindAllStringIndex(s, n)
		if found == nil {
			return s, nil
		}
		var b strings.Builder
		from := 0
		for _, at := range found {
			b.WriteString(s[from:at[0]])
			b.WriteString(to)
			from = at[1]
		}
		b.WriteString(s[from:])
		return b.String(), nil
	}), nil
}

// consumes says whether every match has a character.
func consumes(re *syntax.Regexp) bool {
	switch re.Op { //nolint:exhaustive // the others may be empty
	case syntax.OpLiteral:
		return len(re.Rune) > 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return consumes(re.Sub[0])
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, consumes)
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if !consumes(s) {
				return false
			}
		}
		return true
	}
	return false
}

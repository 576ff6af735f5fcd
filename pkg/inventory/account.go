package inventory

import "errors"

// ErrAccount reports a name that is no account.
var ErrAccount = errors.New("inventory: not an account")

// accountNames are the words of GLOSSARY.md, by number.
var accountNames = [NumAccounts]string{
	OnHand:       "on_hand",
	Picked:       "picked",
	InTransit:    "in_transit",
	Damaged:      "damaged",
	Returned:     "returned",
	Quarantine:   "quarantine",
	Supplier:     "supplier",
	Customer:     "customer",
	Adjustment:   "adjustment",
	Scrap:        "scrap",
	Consumption:  "consumption",
	Opening:      "opening",
	Intercompany: "intercompany",
	Conversion:   "conversion",
}

// String is the account's name, or "unknown" for a number beyond the last one.
func (a Account) String() string {
	if int(a) >= NumAccounts {
		return "unknown"
	}
	return accountNames[a]
}

// ParseAccount is the opposite of String. It fails with ErrAccount.
func ParseAccount(name string) (Account, error) {
	for i, n := range accountNames {
		if n == name {
			return Account(i), nil
		}
	}
	return 0, ErrAccount
}

// IsState says whether the account is a state at a location.
func (a Account) IsState() bool { return a < NumStates }

// bit is the account's place in a set such as CountMark.Covers.
func (a Account) bit() uint8 { return 1 << a }

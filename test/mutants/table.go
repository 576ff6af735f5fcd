package main

// mutants is the table: the lines that the guarantees rest on most.
func mutants() []mutant {
	const inventory = "./pkg/inventory"
	return []mutant{
		{
			name: "dedupe", file: "pkg/inventory/ledger.go",
			old: "if had, seen := l.seen(id); seen || l.repeated(at) {", new: "if had, seen := l.seen(id); false && seen {",
			pkg: inventory, test: "TestEveryEventMovesTheFenceAndOnlyFactsTheVersion",
		},
		{
			name: "maximum-merge", file: "pkg/inventory/report.go",
			old: "return max(most, sum)", new: "return most + sum",
			pkg: inventory, test: "TestScenarios/demand/two_sources_that_report_one_shipment_take_the_maximum",
		},
		{
			name: "as-of", file: "pkg/inventory/count.go",
			old: "m := mark{at: pl.at,", new: "m := mark{at: forever,",
			pkg: inventory, test: "TestScenarios/counts/every_order_of_a_count_and_two_movements_gives_99",
		},
		{
			name: "demand-origin", file: "pkg/inventory/demand.go",
			old: "if !origin && (d.Stage != Allocated", new: "if false && !origin && (d.Stage != Allocated",
			pkg: inventory, test: "TestScenarios/demand/an_echo_of_the_order_creates_no_demand",
		},
		{
			name: "fence", file: "pkg/inventory/ledger.go",
			old: "return true, nil", new: "return false, nil",
			pkg: inventory, test: "TestFence",
		},
		{
			name: "header-check", file: "pkg/stream/restore.go",
			old: "if got == want {", new: "if got == want || true {",
			pkg: "./pkg/stream", test: "TestForeignHeaderStops", tags: "synctests",
		},
		{
			name: "version-compare", file: "services/atpapi/redis.go",
			old: "if not old or string.sub(old, 1, 20) < string.sub(value, 1, 20) then", new: "if true then",
			pkg: "./services/atpapi", test: "TestVersionsNeverFall",
		},
		{
			name: "erp-look-up", file: "services/erpwriter/poster.go",
			old: "d, found, err := p.erp.Find(ctx, req.Ref)", new: "d, found, err := erp.Document{}, false, error(nil)",
			pkg: "./services/erpwriter", test: "TestLookUpBeforePosting",
		},
		{
			name: "head-in-parts", file: "pkg/inventory/ledger.go",
			old: "l.same.Locations &^= 1 << i", new: "_ = i",
			pkg: "./services/atp", test: "TestNothingOutlivesTheMemoryOfItsEvents", tags: "synctests",
		},
		{
			name: "ids-in-segments", file: "pkg/inventory/seen.go",
			old: "			x.add(ids)", new: "			_ = ids",
			pkg: inventory, test: "TestIdsAreForgottenAfterTheWindow",
		},
		{
			name: "copies-in-order", file: "pkg/inventory/freeze.go",
			old: "at.Copy && f.Taken < f.Offset && at.Original > f.Offset", new: "at.Copy && f == nil",
			pkg: inventory, test: "TestNothingPassesACopyThatIsTooMuch",
		},
		{
			name: "copies-once", file: "pkg/inventory/freeze.go",
			old: "(at.Original < f.Offset || at.Original <= f.Taken)", new: "at.Original < f.Offset",
			pkg: inventory, test: "TestARejectedCopyIsTakenOnce",
		},
		{
			name: "room-to-wait", file: "pkg/inventory/park_queue.go",
			old: "if q.Bytes -= a.weight; q.Parked+q.Held == 0 {", new: "if q.Bytes -= a.weight - a.weight; q.Held < 0 {",
			pkg: inventory, test: "TestWhatWaitedLeavesRoom",
		},
		{
			name: "restore-read-on", file: "pkg/stream/restore.go",
			old: "			failed++\n", new: "			failed++\n			t.offset++\n",
			pkg: "./pkg/stream", test: "TestRestoreThatFailsInBetween", tags: "synctests",
		},
		{
			name: "unreadable-state", file: "services/atp/step.go",
			old: "	if led.pieces.err != nil {", new: "	if false {",
			pkg: "./services/atp", test: "TestUnreadableStateStops",
		},
		{
			name: "variance-committed", file: "services/atp/variances.go",
			old: "	if committed {", new: "	if committed || true {",
			pkg: "./services/atp", test: "TestOpenVariancesAreMeasured",
		},
	}
}

package storetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ideaegg/latchkey/internal/auth"
)

// testAudit runs one test after another in one log. Each has a user, or a day, of its own.
func testAudit(t *testing.T, db Database) {
	f := newFixture(t, db)
	testAuditEvents(t, f)
	testAuditFilters(t, f)
	testOldAuditEvents(t, f)
	testAuditRaces(t, db, f)
}

// fact is an event with all that one can have.
func (f fixture) fact(user auth.UserID, at time.Time) auth.AuditEvent {
	n := f.next()
	return auth.AuditEvent{
		At: at, Kind: auth.AuditSignIn, Outcome: auth.AuditRefused, Reason: auth.ReasonWrongPassword, UserID: user,
		Proof: auth.ProofPassword, Session: auth.SessionID(1<<45 + n), Token: "0123abcd", Login: "89ef0123", Count: int(n),
		Origin: auth.Origin{Address: netip.MustParseAddr("2001:db8::7"), UserAgent: "Ümlaut/1.0 (测试)"},
	}
}

func (f fixture) record(t *testing.T, events ...auth.AuditEvent) {
	t.Helper()
	must(t, "AppendAuditEvents", f.AppendAuditEvents(t.Context(), events))
}

// expectFacts fails the test unless the filter chooses these events, oldest first.
func (f fixture) expectFacts(t *testing.T, filter auth.AuditFilter, want ...auth.AuditEvent) {
	t.Helper()
	if filter.Limit == 0 {
		filter.Limit = 5000
	}
	got, err := f.ListAuditEvents(t.Context(), filter)
	must(t, "ListAuditEvents", err)
	for i, e := range got {
		if e.ID == 0 || slices.ContainsFunc(got[:i], func(o auth.AuditEvent) bool { return o.ID == e.ID }) {
			t.Errorf("got the id %d, want one of its own for each event", e.ID)
		}
	}
	if diff := cmp.Diff(want, got, append(cmp.Options{cmpopts.IgnoreFields(auth.AuditEvent{}, "ID")}, exactly...)...); diff != "" {
		t.Errorf("events that %+v chooses (-want +got):\n%s", filter, diff)
	}
}

func testAuditEvents(t *testing.T, f fixture) {
	t.Run("an event comes out as it was appended, but for the language", func(t *testing.T) {
		full := f.fact(71, noon.Add(999)) // what is below a microsecond is cut off
		full.Origin.Language = auth.SimplifiedChinese
		empty := auth.AuditEvent{UserID: 71, At: noon, Kind: auth.AuditSignOut, Outcome: auth.AuditOK}
		f.record(t, full, empty)
		full.At, full.Origin.Language = noon, ""
		f.expectFacts(t, auth.AuditFilter{UserID: 71}, full, empty)
	})

	t.Run("events of one time keep their order, and later ones that come first go behind", func(t *testing.T) {
		events := []auth.AuditEvent{f.fact(72, noon.Add(time.Hour)), f.fact(72, noon), f.fact(72, noon), f.fact(72, noon.Add(-time.Hour))}
		f.record(t, events[:2]...)
		f.record(t, events[2:]...)
		f.expectFacts(t, auth.AuditFilter{UserID: 72}, events[3], events[1], events[2], events[0])
		f.record(t) // nothing
		f.expectFacts(t, auth.AuditFilter{UserID: 72, Limit: 2}, events[2], events[0])
	})

	t.Run("events outlive their user, without a name", func(t *testing.T) {
		n := f.newUser()
		user := f.create(t, n)
		fact := f.fact(user.ID, noon)
		f.record(t, fact)
		must(t, "DeleteUser", f.DeleteUser(t.Context(), user.ID, n.PasswordHash, noon))
		f.expectFacts(t, auth.AuditFilter{UserID: user.ID}, fact)
	})

	t.Run("there are as many as there are, over several pages", func(t *testing.T) {
		var events []auth.AuditEvent
		for i := range 2500 {
			events = append(events, f.fact(73, noon.Add(time.Duration(i/2)*time.Second)))
		}
		for i, c := range slices.Collect(slices.Chunk(events, 500)) {
			must(t, "AppendAuditEvents", f.AppendAuditEvents(t.Context(), c))
			f.expectFacts(t, auth.AuditFilter{UserID: 73, Limit: 500}, events[500*i:500*(i+1)]...)
		}
		f.expectFacts(t, auth.AuditFilter{UserID: 73}, events...)
		f.expectFacts(t, auth.AuditFilter{UserID: 73, Limit: 1001}, events[1499:]...)
	})
}

func testAuditFilters(t *testing.T, f fixture) {
	day := noon.AddDate(1, 0, 0)
	john, jane, nobody := f.fact(81, day), f.fact(82, day.Add(time.Minute)), f.fact(0, day.Add(2*time.Minute))
	john.Origin.Address = netip.MustParseAddr("192.0.2.7")
	jane.Kind, jane.Outcome, jane.Reason = auth.AuditPasswordChanged, auth.AuditOK, ""
	nobody.Origin.Address = netip.Addr{}
	f.record(t, john, jane, nobody)
	for _, tt := range []struct {
		name   string
		filter auth.AuditFilter
		want   []auth.AuditEvent
	}{
		{"none", auth.AuditFilter{}, []auth.AuditEvent{john, jane, nobody}},
		{"limit", auth.AuditFilter{Limit: 2}, []auth.AuditEvent{jane, nobody}},
		{"user", auth.AuditFilter{UserID: 82}, []auth.AuditEvent{jane}},
		{"kind", auth.AuditFilter{Kind: auth.AuditSignIn}, []auth.AuditEvent{john, nobody}},
		{"outcome", auth.AuditFilter{Outcome: auth.AuditOK}, []auth.AuditEvent{jane}},
		{"address", auth.AuditFilter{Network: netip.MustParsePrefix("192.0.2.7/32")}, []auth.AuditEvent{john}},
		{"network", auth.AuditFilter{Network: netip.MustParsePrefix("192.0.2.0/24")}, []auth.AuditEvent{john}},
		{"network of version 6", auth.AuditFilter{Network: netip.MustParsePrefix("2001:db8::/64")}, []auth.AuditEvent{jane}},
		{"since", auth.AuditFilter{Since: jane.At}, []auth.AuditEvent{jane, nobody}},
		{"until", auth.AuditFilter{Until: jane.At}, []auth.AuditEvent{john}},
		{"user and kind", auth.AuditFilter{UserID: 81, Kind: auth.AuditPasswordChanged}, nil},
		{"all", auth.AuditFilter{
			UserID: 81, Kind: auth.AuditSignIn, Outcome: auth.AuditRefused, Network: netip.MustParsePrefix("192.0.2.0/24"), Limit: 1,
		}, []auth.AuditEvent{john}},
	} {
		t.Run("filter: "+tt.name, func(t *testing.T) {
			if tt.filter.Since.IsZero() {
				tt.filter.Since = day
			}
			if tt.filter.Until.IsZero() {
				tt.filter.Until = day.Add(time.Hour)
			}
			f.expectFacts(t, tt.filter, tt.want...)
		})
	}
}

func testOldAuditEvents(t *testing.T, f fixture) {
	t.Run("events go when they are old, so many at once, and the others stay", func(t *testing.T) {
		long := noon.AddDate(-20, 0, 0)
		var old []auth.AuditEvent
		for range 5 {
			old = append(old, f.fact(91, long))
		}
		young := f.fact(91, long.Add(time.Microsecond))
		f.record(t, append(old, young)...)
		due := auth.Due{AuditBefore: young.At}
		f.expectCleanUp(t, auth.Due{AuditBefore: long}, 0)
		for _, want := range []int{2, 2, 1, 0} {
			got, err := f.CleanUp(t.Context(), due, 2)
			must(t, "CleanUp", err)
			if got != want {
				t.Errorf("CleanUp deleted %d rows, want %d", got, want)
			}
		}
		f.expectFacts(t, auth.AuditFilter{UserID: 91}, young)
	})

	t.Run("guests that are cleaned up are an event with their number", func(t *testing.T) {
		now := noon.AddDate(3, 0, 0)
		for range 3 {
			n := f.newGuest()
			n.Session.ExpiresAt = noon
			f.create(t, n)
		}
		for range 3 { // the last one deletes nobody
			_, err := f.CleanUp(t.Context(), auth.Due{Now: now, GuestsBefore: noon}, 2)
			must(t, "CleanUp", err)
		}
		_, err := f.CleanUp(t.Context(), auth.Due{Now: now, GuestsBefore: noon}, 2)
		must(t, "CleanUp", err)
		got, err := f.ListAuditEvents(t.Context(), auth.AuditFilter{Kind: auth.AuditGuestsDeleted, Limit: 10})
		must(t, "ListAuditEvents", err)
		total := 0
		for _, e := range got {
			total += e.Count
			if e.Outcome != auth.AuditOK || !e.At.Equal(now) || e.Count == 0 || e.UserID != 0 {
				t.Errorf("got %+v", e)
			}
		}
		if total != 3 {
			t.Errorf("got %d deleted guests in %+v, want 3", total, got)
		}
	})
}

func testAuditRaces(t *testing.T, db Database, f fixture) {
	t.Run("of events that are appended at once none is lost", func(t *testing.T) {
		const writers, each = 8, 20
		for _, err := range inParallel(writers, func(int) error {
			for range each {
				if err := f.AppendAuditEvents(t.Context(), []auth.AuditEvent{f.fact(95, noon), f.fact(95, noon)}); err != nil {
					return err
				}
			}
			return nil
		}) {
			must(t, "AppendAuditEvents", err)
		}
		got, err := f.ListAuditEvents(t.Context(), auth.AuditFilter{UserID: 95, Limit: 5000})
		must(t, "ListAuditEvents", err)
		if len(got) != writers*each*2 {
			t.Errorf("got %d events, want %d", len(got), writers*each*2)
		}
	})

	t.Run("what was acknowledged is there after a restart", func(t *testing.T) {
		fact := f.fact(96, noon)
		f.record(t, fact)
		must(t, "Close", f.Close())
		f.on(open(t, db)).expectFacts(t, auth.AuditFilter{UserID: 96}, fact)
	})
}

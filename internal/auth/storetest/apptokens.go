package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
)

func testAppTokens(t *testing.T, db Database) {
	f := newFixture(t, db)
	ctx := t.Context()
	const lasts = 10 * time.Second
	lease := func(app string, generation int64, now time.Time) auth.AppTokenLease {
		return auth.AppTokenLease{AppID: app, Generation: generation, Until: now.Add(lasts)}
	}
	sealed := func(s string) auth.SealedAppToken {
		return auth.SealedAppToken{Sealed: []byte("\x01\x00" + s), ExpiresAt: noon.Add(2 * time.Hour)}
	}
	// expect fails the test unless this is what is stored.
	expect := func(t *testing.T, app string, want auth.SealedAppToken) {
		t.Helper()
		got, err := f.FindAppToken(ctx, app)
		must(t, "FindAppToken", err)
		if diff := cmp.Diff(want, got, exactly...); diff != "" {
			t.Errorf("FindAppToken (-want +got):\n%s", diff)
		}
	}
	// replace leases and stores.
	replace := func(t *testing.T, app string, generation int64, token auth.SealedAppToken) {
		t.Helper()
		l := lease(app, generation, noon)
		must(t, "LeaseAppToken", f.LeaseAppToken(ctx, l, noon))
		must(t, "StoreAppToken", f.StoreAppToken(ctx, l, token))
	}

	t.Run("what is stored is found until the next one is", func(t *testing.T) {
		t.Parallel()
		_, err := f.FindAppToken(ctx, "wxFound")
		expectError(t, "FindAppToken", err, auth.ErrNotFound)
		first := lease("wxFound", 0, noon)
		must(t, "LeaseAppToken", f.LeaseAppToken(ctx, first, noon))
		_, err = f.FindAppToken(ctx, "wxFound") // a lease alone is no token
		expectError(t, "FindAppToken", err, auth.ErrNotFound)
		want := sealed("first")
		must(t, "StoreAppToken", f.StoreAppToken(ctx, first, want))
		want.Generation = 1
		expect(t, "wxFound", want)

		want = sealed("second")
		replace(t, "wxFound", 1, want)
		want.Generation = 2
		expect(t, "wxFound", want)
		_, err = f.FindAppToken(ctx, "wxfound") // another app
		expectError(t, "FindAppToken", err, auth.ErrNotFound)
	})
	t.Run("a lease is held until it ends", func(t *testing.T) {
		t.Parallel()
		for _, generation := range []int64{0, 1} {
			must(t, "LeaseAppToken", f.LeaseAppToken(ctx, lease("wxHeld", generation, noon), noon))
			for _, now := range []time.Time{noon, noon.Add(lasts - time.Microsecond)} {
				expectError(t, "LeaseAppToken", f.LeaseAppToken(ctx, lease("wxHeld", generation, now), now), auth.ErrChanged)
			}
			late := lease("wxHeld", generation, noon.Add(lasts))
			must(t, "LeaseAppToken", f.LeaseAppToken(ctx, late, noon.Add(lasts)))
			must(t, "StoreAppToken", f.StoreAppToken(ctx, late, sealed("late")))
		}
	})
	t.Run("a lease that was released can be taken at once", func(t *testing.T) {
		t.Parallel()
		first := lease("wxReleased", 0, noon)
		must(t, "LeaseAppToken", f.LeaseAppToken(ctx, first, noon))
		must(t, "ReleaseAppToken", f.ReleaseAppToken(ctx, first))
		must(t, "ReleaseAppToken", f.ReleaseAppToken(ctx, first))
		expectError(t, "StoreAppToken", f.StoreAppToken(ctx, first, sealed("too late")), auth.ErrChanged)
		second := lease("wxReleased", 0, noon.Add(time.Second))
		must(t, "LeaseAppToken", f.LeaseAppToken(ctx, second, noon.Add(time.Second)))
		must(t, "ReleaseAppToken", f.ReleaseAppToken(ctx, first)) // which is not the one that is held
		must(t, "StoreAppToken", f.StoreAppToken(ctx, second, sealed("second")))
		must(t, "ReleaseAppToken", f.ReleaseAppToken(ctx, lease("wxNever", 0, noon)))
	})
	t.Run("a lease is for one generation", func(t *testing.T) {
		t.Parallel()
		expectError(t, "StoreAppToken", f.StoreAppToken(ctx, lease("wxGeneration", 0, noon), sealed("none")), auth.ErrChanged)
		replace(t, "wxGeneration", 0, sealed("first"))
		later := noon.Add(time.Hour)
		for _, generation := range []int64{0, 2} {
			expectError(t, "LeaseAppToken", f.LeaseAppToken(ctx, lease("wxGeneration", generation, later), later), auth.ErrChanged)
		}
	})
	t.Run("who comes late does not replace a newer token", func(t *testing.T) {
		t.Parallel()
		slow := lease("wxLate", 0, noon)
		must(t, "LeaseAppToken", f.LeaseAppToken(ctx, slow, noon))
		next := lease("wxLate", 0, noon.Add(time.Minute))
		must(t, "LeaseAppToken", f.LeaseAppToken(ctx, next, noon.Add(time.Minute)))
		expectError(t, "StoreAppToken", f.StoreAppToken(ctx, slow, sealed("slow")), auth.ErrChanged)
		want := sealed("next")
		must(t, "StoreAppToken", f.StoreAppToken(ctx, next, want))
		expectError(t, "StoreAppToken", f.StoreAppToken(ctx, slow, sealed("slow")), auth.ErrChanged)
		want.Generation = 1
		expect(t, "wxLate", want)
	})
	t.Run("of many leases at once one is taken", func(t *testing.T) {
		t.Parallel()
		for generation := range int64(3) {
			for i := range int64(2) { // once for the lease, once more after it has ended
				now := noon.Add(time.Duration(i) * time.Hour)
				won := 0
				for _, err := range inParallel(20, func(i int) error {
					l := lease("wxRace", generation, now)
					l.Until = l.Until.Add(time.Duration(i) * time.Microsecond)
					return f.LeaseAppToken(ctx, l, now)
				}) {
					switch {
					case err == nil:
						won++
					case !errors.Is(err, auth.ErrChanged):
						t.Errorf("LeaseAppToken: got error %v, want %v", err, auth.ErrChanged)
					}
				}
				if won != 1 {
					t.Errorf("%d of 20 took the lease, want 1", won)
				}
			}
			later := noon.Add(3 * time.Hour)
			l := lease("wxRace", generation, later)
			must(t, "LeaseAppToken", f.LeaseAppToken(ctx, l, later))
			must(t, "StoreAppToken", f.StoreAppToken(ctx, l, sealed("race")))
		}
	})
	t.Run("another node sees what is stored", func(t *testing.T) {
		t.Parallel()
		replace(t, "wxNode", 0, sealed("shared"))
		other := f.on(open(t, db))
		got, err := other.FindAppToken(ctx, "wxNode")
		must(t, "FindAppToken", err)
		if string(got.Sealed) != "\x01\x00shared" {
			t.Errorf("got %q", got.Sealed)
		}
		expectError(t, "LeaseAppToken", other.LeaseAppToken(ctx, lease("wxNode", 0, noon), noon), auth.ErrChanged)
	})
}

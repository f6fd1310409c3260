package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
)

// handover is one with everything, for a minute from noon.
func (f fixture) handover() auth.Handover {
	return auth.Handover{
		CodeHash: f.hash(), AppID: "wx0a", OpenID: "oFirst-Openid_1", UnionID: "oUnion-1",
		CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", ExpiresAt: noon.Add(time.Minute),
	}
}

func testHandovers(t *testing.T, db Database) {
	f := newFixture(t, db)
	ctx := t.Context()
	create := func(t *testing.T, h auth.Handover) auth.Handover {
		t.Helper()
		must(t, "CreateHandover", f.CreateHandover(ctx, h))
		return h
	}
	t.Run("a handover is consumed once, as it was created", func(t *testing.T) {
		bare := f.handover()
		bare.UnionID, bare.CodeChallenge = "", ""
		for _, want := range []auth.Handover{create(t, f.handover()), create(t, bare)} {
			got, err := f.ConsumeHandover(ctx, want.CodeHash, noon.Add(time.Minute-time.Microsecond))
			must(t, "ConsumeHandover", err)
			if diff := cmp.Diff(want, got, exactly...); diff != "" {
				t.Errorf("ConsumeHandover (-want +got):\n%s", diff)
			}
			_, err = f.ConsumeHandover(ctx, want.CodeHash, noon)
			expectError(t, "ConsumeHandover, once more", err, auth.ErrTokenInvalid)
		}
	})
	t.Run("one that is unknown or expired is not consumed", func(t *testing.T) {
		_, err := f.ConsumeHandover(ctx, f.hash(), noon)
		expectError(t, "ConsumeHandover", err, auth.ErrTokenInvalid)
		h := create(t, f.handover())
		_, err = f.ConsumeHandover(ctx, h.CodeHash, h.ExpiresAt)
		expectError(t, "ConsumeHandover at its end", err, auth.ErrTokenInvalid)
	})
	t.Run("of those who consume one at once one succeeds", func(t *testing.T) {
		other := f.on(open(t, db))
		for range 5 {
			h := create(t, f.handover())
			won := 0
			for _, err := range inParallel(20, func(i int) error {
				node := f
				if i%2 == 1 {
					node = other
				}
				_, err := node.ConsumeHandover(ctx, h.CodeHash, noon)
				return err
			}) {
				switch {
				case err == nil:
					won++
				case !errors.Is(err, auth.ErrTokenInvalid):
					t.Errorf("ConsumeHandover: got error %v, want %v", err, auth.ErrTokenInvalid)
				}
			}
			if won != 1 {
				t.Errorf("%d of 20 consumed it, want 1", won)
			}
		}
	})
	t.Run("expired ones are cleaned up", func(t *testing.T) {
		late := f.handover()
		late.ExpiresAt = noon.Add(time.Hour)
		create(t, late)
		f.expectCleanUp(t, auth.Due{Now: noon.Add(time.Minute)}, 1) // the one that nobody could consume
		_, err := f.ConsumeHandover(ctx, late.CodeHash, noon.Add(time.Minute))
		must(t, "ConsumeHandover", err)
	})
}

package sqlstore_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// eachEngine runs the benchmark on each engine.
func eachEngine(b *testing.B, benchmark func(*testing.B, *sqlstore.Store)) {
	b.Run("sqlite", func(b *testing.B) { benchmark(b, open(b, dbtest.SQLite(b))) })
	b.Run("postgres", func(b *testing.B) { benchmark(b, open(b, dbtest.Postgres(b))) })
}

func BenchmarkCreateGuest(b *testing.B) {
	eachEngine(b, func(b *testing.B, store *sqlstore.Store) {
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.CreateUser(ctx, newGuest()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCreateGuestsConcurrently is what group commit is for.
func BenchmarkCreateGuestsConcurrently(b *testing.B) {
	const writers = 64
	eachEngine(b, func(b *testing.B, store *sqlstore.Store) {
		ctx := context.Background()
		b.ReportAllocs()
		b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := store.CreateUser(ctx, newGuest()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkFindSession(b *testing.B) {
	eachEngine(b, func(b *testing.B, store *sqlstore.Store) {
		ctx := context.Background()
		n := newUser("somebody")
		if _, err := store.CreateUser(ctx, n); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := store.FindSession(ctx, n.Session.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
}

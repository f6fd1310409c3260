package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
)

type guestsCommand struct {
	Prune pruneCommand `cmd:"" help:"Delete guests who were not seen for long, but nobody with a live session. Example: latchkey guests prune --older-than=30d --dry-run"`
}

type pruneCommand struct {
	config.DatabaseOnly
	OlderThan string `name:"older-than" default:"30d" placeholder:"DURATION" help:"Guests who were not seen for so long are deleted, 1h or more. Example: --older-than=720h"`
	DryRun    bool   `name:"dry-run" help:"Count them and delete nobody."`
	JSON      bool   `name:"json" help:"Print JSON for programs."`
}

// Help is the detail that kong shows above the flags.
func (pruneCommand) Help() string {
	return "The service deletes unused guests by itself, see --guest-idle of latchkey serve. This is for now and then: it may " +
		"run beside the service, in small batches, and can be interrupted and run again. Guests whose session is live are " +
		"never deleted, however long ago they were seen."
}

// minPruneAge is longer than clocks differ, so that whoever just came back is never among the unused.
const minPruneAge = time.Hour

// pruned is what the command reports.
type pruned struct {
	Before  time.Time `json:"not_seen_since"`
	Unused  int64     `json:"unused"`
	Deleted int64     `json:"deleted"`
}

// Run counts unused guests and deletes them.
func (c pruneCommand) Run(w world) (err error) {
	db, err := c.Settings()
	if err != nil {
		return err
	}
	age, err := config.ParseDuration(c.OlderThan)
	if err != nil {
		return fmt.Errorf("--older-than: %w", err)
	}
	if age < minPruneAge {
		return fmt.Errorf("--older-than: %s is too short, write 1h or more", c.OlderThan)
	}
	store, err := openExisting(w.ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	p := auth.NotSeenFor(age, time.Now())
	result := pruned{Before: p.Before.Truncate(time.Second)}
	if result.Unused, err = store.CountUnusedGuests(w.ctx, p); err != nil {
		return err
	}
	if !c.DryRun {
		bar := newProgressBar(w.stderr)
		result.Deleted, err = store.PruneGuests(w.ctx, p, func(deleted int64) { bar.show("guests", deleted, result.Unused) })
		bar.end()
		if err != nil {
			return fmt.Errorf("stopped after %d of %d guests: %w", result.Deleted, result.Unused, err)
		}
	}
	return c.report(w.stdout, result)
}

func (c pruneCommand) report(out io.Writer, r pruned) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(r)
	}
	since := r.Before.Format(time.RFC3339)
	if c.DryRun {
		_, err := fmt.Fprintf(out, "%s not seen since %s would be deleted\n", guests(r.Unused), since)
		return err
	}
	_, err := fmt.Fprintf(out, "deleted %s not seen since %s\n", guests(r.Deleted), since)
	return err
}

func guests(n int64) string {
	if n == 1 {
		return "1 guest"
	}
	return fmt.Sprintf("%d guests", n)
}

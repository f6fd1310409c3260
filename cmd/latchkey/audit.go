package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

type auditCommand struct {
	config.DatabaseOnly
	User    string `name:"user" placeholder:"LOGIN" help:"Events about one user: username, e-mail address or id:N, also of a deleted user. Example: --user=john@example.com"`
	Kind    string `name:"kind" placeholder:"KIND" help:"Events of one kind. Example: --kind=password_reset"`
	Outcome string `name:"outcome" placeholder:"ok|refused" help:"Only what succeeded, or only what was refused. Example: --outcome=refused"`
	Address string `name:"address" placeholder:"IP|CIDR" help:"Events from an address or a network. Example: --address=192.0.2.0/24"`
	Since   string `name:"since" placeholder:"AGO|TIME" help:"Events from then on: a duration before now, a date (UTC), or a time in RFC 3339. Example: --since=24h"`
	Until   string `name:"until" placeholder:"AGO|TIME" help:"Events before then. Example: --until=2026-03-01"`
	Limit   int    `name:"limit" default:"100" placeholder:"N" help:"The newest N events, 1 to 100000. Example: --limit=1000"`
	JSON    bool   `name:"json" help:"Print one JSON object a line for programs, with the user agents."`
}

const maxAuditLimit = 100_000 // some 60 MiB

// Help is the detail that kong shows above the flags.
func (auditCommand) Help() string {
	return "Changes nothing and works while the service runs; what happened within the last second may still be missing. " +
		"TOKEN is the first 8 hex digits of a token's SHA-256. How long events are kept is --audit-keep of latchkey serve. " +
		"Example: latchkey audit --outcome=refused --address=192.0.2.0/24 --since=7d --json"
}

// Run lists audit events.
func (c auditCommand) Run(w world) (err error) {
	db, err := c.Settings()
	if err != nil {
		return err
	}
	filter, err := c.filter(time.Now().UTC())
	if err != nil {
		return err
	}
	if err := mustExist(db); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	cfg := storeConfig(db)
	cfg.KeepSchema = true
	store, err := openStore(w.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if filter.UserID, err = c.userID(w, store); err != nil {
		return err
	}
	events, err := store.ListAuditEvents(w.ctx, filter)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printAuditJSON(w.stdout, events)
	case len(events) == 0:
		_, err := fmt.Fprintln(w.stdout, "no events")
		return err
	}
	return printAuditTable(w.stdout, events)
}

// filter reads the flags but --user, which needs the database.
func (c auditCommand) filter(now time.Time) (f auth.AuditFilter, err error) {
	f = auth.AuditFilter{Kind: auth.AuditKind(c.Kind), Outcome: auth.AuditOutcome(c.Outcome), Limit: c.Limit}
	if f.Kind != "" && !slices.Contains(auth.AuditKinds(), f.Kind) {
		return f, fmt.Errorf("--kind: there is no %q, choose one of %s", c.Kind, join(auth.AuditKinds()))
	}
	if f.Outcome != "" && f.Outcome != auth.AuditOK && f.Outcome != auth.AuditRefused {
		return f, fmt.Errorf("--outcome: %q is neither, write ok or refused", c.Outcome)
	}
	if f.Limit < 1 || f.Limit > maxAuditLimit {
		return f, fmt.Errorf("--limit: %d is out of bounds, write 1 to %d", c.Limit, maxAuditLimit)
	}
	if f.Network, err = parseNetwork(c.Address); err != nil {
		return f, fmt.Errorf("--address: %w", err)
	}
	if f.Since, err = parseMoment(c.Since, now); err != nil {
		return f, fmt.Errorf("--since: %w", err)
	}
	if f.Until, err = parseMoment(c.Until, now); err != nil {
		return f, fmt.Errorf("--until: %w", err)
	}
	return f, nil
}

func (c auditCommand) userID(w world, store *sqlstore.Store) (auth.UserID, error) {
	if c.User == "" {
		return 0, nil
	}
	if id, ok, err := parseUserID(c.User); ok && err == nil {
		return id, nil // of a user who may be deleted
	}
	find, err := parseUser(c.User)
	if err != nil {
		return 0, fmt.Errorf("--user: %w", err)
	}
	user, err := find(w.ctx, store)
	if err != nil {
		return 0, fmt.Errorf("--user: %w", err)
	}
	return user.ID, nil
}

// parseNetwork reads an address or a network; "" is none.
func parseNetwork(raw string) (netip.Prefix, error) {
	if raw == "" {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(raw); err == nil {
		a = a.Unmap().WithZone("")
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(raw)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no network, write for example 192.0.2.7 or 192.0.2.0/24", raw)
	}
	return p.Masked(), nil
}

// parseMoment reads a duration before now, a date or a time; "" is the zero time.
func parseMoment(raw string, now time.Time) (time.Time, error) {
	if raw == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDuration(raw); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, raw); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time, write for example 24h, 7d, 2026-03-01 or 2026-03-01T12:00:00Z", raw)
}

func join[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// auditTime is RFC 3339 in UTC with milliseconds, as everywhere in the API.
const auditTime = "2006-01-02T15:04:05.000Z"

func printAuditTable(out io.Writer, events []auth.AuditEvent) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tKIND\tOUTCOME\tUSER\tPROOF\tADDRESS\tTOKEN\tDETAILS")
	for _, e := range events {
		outcome := string(e.Outcome)
		if e.Reason != "" {
			outcome += ": " + string(e.Reason)
		}
		var details []string
		if e.Session != 0 {
			details = append(details, fmt.Sprintf("session %d", e.Session))
		}
		if e.OtherID != 0 {
			details = append(details, fmt.Sprintf("other user %d", e.OtherID))
		}
		if e.Login != "" {
			details = append(details, "login "+e.Login)
		}
		if e.Count != 0 {
			details = append(details, fmt.Sprintf("%d of them", e.Count))
		}
		user, address := "", ""
		if e.UserID != 0 {
			user = strconv.FormatInt(int64(e.UserID), 10)
		}
		if e.Origin.Address.IsValid() {
			address = e.Origin.Address.String()
		}
		fields := []string{
			e.At.Format(auditTime), string(e.Kind), outcome, user, string(e.Proof), address, e.Token, strings.Join(details, ", "),
		}
		for i, f := range fields {
			if f == "" {
				fields[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(fields, "\t"))
	}
	return t.Flush()
}

// auditLine is an event as programs read it. Members without a value are left out.
type auditLine struct {
	ID        int64            `json:"id"`
	Time      string           `json:"time"`
	Kind      string           `json:"kind"`
	Outcome   string           `json:"outcome"`
	Reason    auth.AuditReason `json:"reason,omitempty"`
	UserID    int64            `json:"user_id,omitempty"`
	Proof     auth.AuditProof  `json:"proof,omitempty"`
	SessionID int64            `json:"session_id,omitempty"`
	Token     string           `json:"token,omitempty"`
	OtherID   int64            `json:"other_user_id,omitempty"`
	Login     string           `json:"login,omitempty"`
	Count     int              `json:"count,omitempty"`
	Address   netip.Addr       `json:"address,omitzero"`
	UserAgent string           `json:"user_agent,omitempty"`
}

func printAuditJSON(out io.Writer, events []auth.AuditEvent) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, e := range events {
		err := encoder.Encode(auditLine{
			ID: e.ID, Time: e.At.Format(auditTime), Kind: string(e.Kind), Outcome: string(e.Outcome), Reason: e.Reason,
			UserID: int64(e.UserID), Proof: e.Proof, SessionID: int64(e.Session), OtherID: int64(e.OtherID), Token: e.Token, Login: e.Login, Count: e.Count,
			Address: e.Origin.Address, UserAgent: e.Origin.UserAgent,
		})
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

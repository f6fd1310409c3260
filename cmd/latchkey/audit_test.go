package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// listAudit runs `latchkey audit`.
func listAudit(t *testing.T, cfg sqlstore.Config, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, launch{args: append([]string{"audit", database(cfg)}, args...)})
	if code != 0 || stderr != "" {
		t.Fatalf("latchkey audit %v: got exit code %d and %q, want 0 and nothing", args, code, stderr)
	}
	return stdout
}

// auditEvents are the events that `latchkey audit --json` lists.
func auditEvents(t *testing.T, cfg sqlstore.Config, args ...string) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(listAudit(t, cfg, append(args, "--json")...)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, e)
	}
	return list
}

func kindsOf(events []map[string]any) (list []string) {
	for _, e := range events {
		list = append(list, fmt.Sprint(e["kind"], " ", e["outcome"]))
	}
	return list
}

// TestAuditIsListedWhileTheServiceRuns signs in and out with one program and lists what happened with another one.
func TestAuditIsListedWhileTheServiceRuns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		p := develop(t, cfg)
		in := newUser("john_smith")
		user := p.signedIn(t, "/sign_up", in)
		p.call(t, http.StatusUnauthorized, http.MethodPost, "/sign_in", members{"login": "john_smith", "password": "not his"})
		p.call(t, http.StatusUnauthorized, http.MethodPost, "/sign_in", members{"login": "nobody", "password": "not his"})
		manage(t, cfg, "disable", "john_smith", fmt.Sprintf("disabled user %d (john_smith)\n", user.ID))
		eventually(t, "all four events are listed", func() bool { return len(auditEvents(t, cfg)) == 4 })

		id := fmt.Sprint(user.ID)
		ofJohn := []string{"sign_up ok", "sign_in refused", "user_disabled ok"}
		for _, tt := range []struct {
			args []string
			want []string
		}{
			{nil, []string{"sign_up ok", "sign_in refused", "sign_in refused", "user_disabled ok"}},
			{[]string{"--user=John_Smith"}, ofJohn},
			{[]string{"--user=" + in["email"]}, ofJohn},
			{[]string{"--user=id:" + id}, ofJohn},
			{[]string{"--user=id:" + id, "--limit=2"}, ofJohn[1:]},
			{[]string{"--kind=sign_up"}, []string{"sign_up ok"}},
			{[]string{"--outcome=refused"}, []string{"sign_in refused", "sign_in refused"}},
			{[]string{"--address=127.0.0.0/8", "--user=id:" + id}, ofJohn[:2]},
			{[]string{"--address=127.0.0.1", "--kind=sign_up"}, []string{"sign_up ok"}},
			{[]string{"--address=192.0.2.0/24"}, nil},
			{[]string{"--since=1h", "--user=id:" + id}, ofJohn},
			{[]string{"--until=1h"}, nil},
			{[]string{"--since=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}, nil},
		} {
			got := kindsOf(auditEvents(t, cfg, tt.args...))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("latchkey audit %v (-want +got):\n%s", tt.args, diff)
			}
		}

		first := auditEvents(t, cfg, "--kind=sign_up")[0]
		delete(first, "session_id")
		delete(first, "id")
		delete(first, "token")
		if at, err := time.Parse("2006-01-02T15:04:05.000Z", fmt.Sprint(first["time"])); err != nil || time.Since(at) > time.Hour {
			t.Errorf("got the time %v", first["time"])
		}
		delete(first, "time")
		want := map[string]any{
			"kind": "sign_up", "outcome": "ok", "user_id": float64(user.ID), "proof": "password", "address": "127.0.0.1", "user_agent": "Go-http-client/1.1",
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("the sign-up as JSON (-want +got):\n%s", diff)
		}

		table := listAudit(t, cfg)
		for _, row := range []string{
			`(?m)^TIME +KIND +OUTCOME +USER +PROOF +ADDRESS +TOKEN +DETAILS$`,
			`(?m)^\S+Z +sign_up +ok +` + id + ` +password +127\.0\.0\.1 +[0-9a-f]{8} +session \d+$`,
			`(?m)^\S+Z +sign_in +refused: wrong_password +` + id + ` +password +127\.0\.0\.1 +- +-$`,
			`(?m)^\S+Z +sign_in +refused: unknown_login +- +password +127\.0\.0\.1 +- +login [0-9a-f]{8}$`,
			`(?m)^\S+Z +user_disabled +ok +` + id + ` +operator +- +- +-$`,
		} {
			if !regexp.MustCompile(row).MatchString(table) {
				t.Errorf("got no row like %s in\n%s", row, table)
			}
		}
	})
}

// TestAuditOfTheLastSecondSurvivesTheEnd ends the program at once after the last request.
func TestAuditOfTheLastSecondSurvivesTheEnd(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	p := develop(t, cfg)
	p.call(t, http.StatusUnauthorized, http.MethodPost, "/sign_in", members{"login": "nobody", "password": "a wrong one"})
	p.terminate()
	if diff := cmp.Diff([]string{"sign_in refused"}, kindsOf(auditEvents(t, cfg))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestAuditOfAnAcknowledgedChangeSurvivesAKill kills the program at once after a change of password.
func TestAuditOfAnAcknowledgedChangeSurvivesAKill(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		p := develop(t, cfg)
		in := newUser("john_smith")
		user := p.signedIn(t, "/sign_up", in)
		p.call(t, http.StatusOK, http.MethodPut, "/user/password", members{
			"current_password": in["password"], "password": "another one", "password_confirmation": "another one",
		}, bearer(user.PrivateToken))
		p.kill()
		if diff := cmp.Diff([]string{"password_changed ok"}, kindsOf(auditEvents(t, cfg, "--kind=password_changed"))); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestEveryAuditKindIsDocumented compares the table of kinds with the program's own.
func TestEveryAuditKindIsDocumented(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(readFile(t, "../../docs/operations.md"), "\n## Audit events\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []auth.AuditKind
	for _, m := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+`) \\|").FindAllStringSubmatch(section, -1) {
		for kind := range strings.SplitSeq(m[1], ", ") {
			documented = append(documented, auth.AuditKind(strings.Trim(kind, "`")))
		}
	}
	want := auth.AuditKinds()
	slices.Sort(want)
	slices.Sort(documented)
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("kinds in docs/operations.md (-want +got):\n%s", diff)
	}
}

package config_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestDatabaseSQLite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value, path, fault string
	}{
		{name: "relative path", value: "sqlite:latchkey.db", path: "latchkey.db"},
		{name: "absolute path", value: "sqlite:/var/lib/latch key/é.db", path: "/var/lib/latch key/é.db"},
		{name: "empty", value: "", fault: "is empty"},
		{name: "bare path", value: "/var/lib/latchkey.db", fault: "write sqlite:PATH"},
		{name: "no path", value: "sqlite:", fault: "names no file"},
		{name: "two slashes, which other tools want", value: "sqlite://latchkey.db", fault: "is not followed by //"},
		{name: "memory", value: "sqlite::memory:", fault: "no database in memory"},
		{name: "SQLite's own URI", value: "sqlite:file:latchkey.db", fault: "no plain file"},
		{name: "parameters", value: "sqlite:latchkey.db?mode=ro", fault: "takes no parameters"},
		{name: "directory", value: "sqlite:/var/lib/", fault: "names a directory"},
		{name: "line break", value: "sqlite:a\nb", fault: "control characters"},
		{name: "another database", value: "mysql://h/db", fault: "is of an unknown kind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--database="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "database", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			want := config.Database{Engine: config.SQLite, Path: tt.path}
			if diff := cmp.Diff(want, got.Database); diff != "" {
				t.Errorf("database (-want +got):\n%s", diff)
			}
			if got := got.Database.Redacted(); got != tt.value {
				t.Errorf("got %q redacted, want %q", got, tt.value)
			}
		})
	}
}

func TestDatabasePostgres(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value, redacted, fault string
	}{
		{name: "user, password, host, port and name", value: "postgres://u:hunter2@db.example:5432/latchkey", redacted: "postgres://u@db.example:5432/latchkey"},
		{name: "longer scheme", value: "postgresql://u:hunter2@h/db", redacted: "postgres://u@h/db"},
		{name: "no password", value: "postgres://u@h/db", redacted: "postgres://u@h/db"},
		{name: "no user", value: "postgres://h/db", redacted: "postgres://h/db"},
		{name: "no name", value: "postgres://u:hunter2@h", redacted: "postgres://u@h/"},
		{
			name:     "several hosts",
			value:    "postgres://u:hunter2@h1:5432,h2:5432/db?target_session_attrs=read-write",
			redacted: "postgres://u@h1:5432,h2:5432/db",
		},
		{name: "IPv6 hosts", value: "postgres://u:hunter2@[::1]:5432,[2001:db8::1]/db", redacted: "postgres://u@[::1]:5432,[2001:db8::1]/db"},
		{name: "encoded password", value: "postgres://u:hunter2%40%2f%3f%23@h/db", redacted: "postgres://u@h/db"},
		{name: "question mark in the password, which libpq allows", value: "postgres://u:hunter2?x@h/db", redacted: "postgres://u@h/db"},
		{name: "host with an underscore", value: "postgres://u:hunter2@my_db/db", redacted: "postgres://u@my_db/db"},
		{name: "password as a parameter", value: "postgres://h/db?user=u&password=hunter2", redacted: "postgres://h/db?user=u"},
		{name: "socket as a parameter", value: "postgres:///db?host=/run/postgresql&password=hunter2&port=5433", redacted: "postgres:///db?host=/run/postgresql&port=5433"},
		{name: "socket as an encoded host", value: "postgres://u:hunter2@%2Frun%2Fpostgresql/db", redacted: "postgres://u@%2Frun%2Fpostgresql/db"},
		{name: "unencoded @ in the password", value: "postgres://u:hun@ter2@h/db", fault: "percent-encoded"},
		{name: "unencoded / in the password", value: "postgres://u:1/hunter2@h/db", fault: "percent-encoded"},
		{name: "unencoded # in the password", value: "postgres://u:hun#ter2@h/db", fault: "percent-encoded"},
		{name: "unencoded percent sign", value: "postgres://u:100%hunter2@h/db", fault: "percent-encoded"},
		{name: "encoded NUL", value: "postgres://u:hunter2%00@h/db", fault: "percent-encoded"},
		{name: "space", value: "postgres://u:hunter 2@h/db", fault: "percent-encoded"},
		{name: "line break", value: "postgres://u:hunter2@h/db\n", fault: "percent-encoded"},
		{name: "slash in the name", value: "postgres://u:hunter2@h/db/x", fault: "percent-encoded"},
		{name: "port is a word", value: "postgres://u:hunter2@h:abc/db", fault: "host 1 "},
		{name: "second port is too large", value: "postgres://u:hunter2@h1,h2:65536/db", fault: "host 2 "},
		{name: "empty second host", value: "postgres://u:hunter2@h1,/db", fault: "host 2 "},
		{name: "IPv6 address without an end", value: "postgres://u:hunter2@[::1/db", fault: "host 1 "},
		{name: "text after an IPv6 address", value: "postgres://u:hunter2@[::1]x/db", fault: "host 1 "},
		{name: "parameter without a value", value: "postgres://u:hunter2@h/db?sslmode", fault: "parameter"},
		{name: "password without a user", value: "postgres://:hunter2@h/db", fault: "without a user"},
		{name: "key=value form", value: "host=h user=u password=hunter2", fault: "key=value connection strings"},
		{name: "scheme in upper case, which the driver does not know", value: "POSTGRES://u:hunter2@h/db", fault: "unknown kind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--database="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "database", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			want := config.Database{Engine: config.Postgres, DSN: config.Secret(tt.value)}
			if diff := cmp.Diff(want, got.Database); diff != "" {
				t.Errorf("database (-want +got):\n%s", diff)
			}
			if got := got.Database.Redacted(); got != tt.redacted {
				t.Errorf("got %q redacted, want %q", got, tt.redacted)
			}
			if _, err := pgconn.ParseConfig(tt.value); err != nil {
				t.Errorf("got error %v from the driver, want it to accept what is accepted here", err)
			}
		})
	}
}

func TestRedactedHidesAnUnparsableDSN(t *testing.T) {
	t.Parallel()
	db := config.Database{Engine: config.Postgres, DSN: "postgres://u:hun@ter2@h/db"}
	if got, want := db.Redacted(), "[redacted]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDatabaseOnly(t *testing.T) {
	t.Parallel()
	t.Run("environment is read", func(t *testing.T) {
		t.Parallel()
		c, parser := newParser(t, map[string]string{"LATCHKEY_DATABASE": "sqlite:env.db"})
		if _, err := parser.Parse([]string{"migrate"}); err != nil {
			t.Fatal(err)
		}
		got, err := c.Migrate.Settings()
		if err != nil || got.Path != "env.db" {
			t.Errorf("got %q and error %v, want env.db", got.Path, err)
		}
	})
	t.Run("config file of serve is accepted", func(t *testing.T) {
		t.Parallel()
		c, parser := newParser(t, nil)
		file := write(t, `{"public-url": "https://a.example", "database": "sqlite:file.db"}`)
		if _, err := parser.Parse([]string{"migrate", "--config=" + file}); err != nil {
			t.Fatal(err)
		}
		got, err := c.Migrate.Settings()
		if err != nil || got.Path != "file.db" {
			t.Errorf("got %q and error %v, want file.db", got.Path, err)
		}
	})
	t.Run("error names the faults of file and setting", func(t *testing.T) {
		t.Parallel()
		c, parser := newParser(t, nil)
		file := write(t, `{"x": 1, "database": "file.db"}`)
		if _, err := parser.Parse([]string{"migrate", "--config=" + file}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Migrate.Settings()
		faults, _ := errors.AsType[config.Faults](err)
		if len(faults) != 2 || faults[0].Flag != "config" || faults[1].Flag != "database" {
			t.Errorf("got error %v, want faults of --config and --database", err)
		}
	})
}

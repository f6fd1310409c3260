package sqlstore_test

import (
	"context"
	"database/sql"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/dbtest"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// TestEveryStatementIsUnderstood prepares every statement of the package on each engine, but for those that have the
// name of their only engine at the end of their own.
func TestEveryStatementIsUnderstood(t *testing.T) {
	t.Parallel()
	statements := statements(t)
	if len(statements) < 40 {
		t.Fatalf("found only %d statements", len(statements))
	}
	dbtest.Each(t, func(t *testing.T, cfg sqlstore.Config) {
		open(t, cfg)
		db := raw(t, cfg)
		other := "Postgres"
		if cfg.PostgresURL != "" {
			other = "SQLite"
		}
		for _, name := range slices.Sorted(maps.Keys(statements)) {
			if strings.HasSuffix(name, other) {
				continue
			}
			if err := prepare(t.Context(), db, statements[name]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestAuditEventsAreNeverChanged: they are added, and go when they are old.
func TestAuditEventsAreNeverChanged(t *testing.T) {
	t.Parallel()
	writes := make(map[string]string)
	for name, text := range statements(t) {
		if verb := strings.Fields(text)[0]; verb != "SELECT" && strings.Contains(text, "audit_events") {
			writes[name] = verb
		}
	}
	if diff := cmp.Diff(map[string]string{"insertAuditEvent": "INSERT", "deleteOldAuditEvents": "DELETE"}, writes); diff != "" {
		t.Errorf("statements that write audit events (-want +got):\n%s", diff)
	}
}

func prepare(ctx context.Context, db *sql.DB, statement string) error {
	s, err := db.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer s.Close()
	return nil
}

var statementPattern = regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s`)

// statements returns the package's constants that are SQL statements, by name. It fails the test if one stands
// anywhere else than in statements.go.
func statements(t *testing.T) map[string]string {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range sourceFiles(t) {
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		if name == "statements.go" || name == "migrate.go" || name == "copy.go" { // the last two speak to one engine each
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if ok && literal.Kind == token.STRING && statementPattern.MatchString(strings.Trim(literal.Value, "`\"")) {
				t.Errorf("%s: a statement belongs into statements.go", set.Position(literal.Pos()))
			}
			return true
		})
	}
	// Constants depend on no import, so that those need not be found.
	pkg, _ := (&types.Config{Error: func(error) {}}).Check("sqlstore", set, files, nil)
	found := make(map[string]string)
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if ok && c.Val().Kind() == constant.String && statementPattern.MatchString(constant.StringVal(c.Val())) {
			found[name] = constant.StringVal(c.Val())
		}
	}
	return found
}

// sourceFiles returns the names of the package's files that are no tests.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// schema is what both engines must have in common.
type schema struct {
	Columns     []column
	Indexes     []index
	ForeignKeys []foreignKey
}

type column struct {
	Table, Name, Type string
	Nullable          bool
}

type index struct {
	Table, Name, Columns string // the columns in their order, separated by commas
	Unique, Partial      bool
}

type foreignKey struct{ Table, Column, References, OnDelete string }

func TestSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	lite, pg := dbtest.SQLite(t), dbtest.Postgres(t)
	open(t, lite)
	open(t, pg)
	got, want := sqliteSchema(t, raw(t, lite)), postgresSchema(t, raw(t, pg))
	if len(got.Columns) < 40 || len(got.Indexes) < 10 || len(got.ForeignKeys) < 4 {
		t.Errorf("SQLite has %d columns, %d indexes, %d foreign keys", len(got.Columns), len(got.Indexes), len(got.ForeignKeys))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schemas (-postgres +sqlite):\n%s", diff)
	}
}

func TestSQLiteTablesAreStrict(t *testing.T) {
	t.Parallel()
	cfg := dbtest.SQLite(t)
	open(t, cfg)
	for _, table := range query(t, raw(t, cfg), `SELECT name FROM pragma_table_list
		WHERE schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> 'goose_db_version'`,
		func(name *string) []any { return []any{name} }) {
		t.Errorf("table %s is not STRICT: it takes text where a number belongs", table)
	}
}

func scanColumn(c *column) []any { return []any{&c.Table, &c.Name, &c.Type, &c.Nullable} }

func scanIndex(i *index) []any { return []any{&i.Table, &i.Name, &i.Columns, &i.Unique, &i.Partial} }

func scanForeignKey(k *foreignKey) []any {
	return []any{&k.Table, &k.Column, &k.References, &k.OnDelete}
}

func sqliteSchema(t *testing.T, db *sql.DB) schema {
	t.Helper()
	const tables = `(SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND name <> 'goose_db_version') AS tables`
	return schema{
		Columns: query(t, db, `SELECT tables.name, c.name,
				CASE c.type WHEN 'INTEGER' THEN 'integer' WHEN 'TEXT' THEN 'text' WHEN 'BLOB' THEN 'bytes' ELSE c.type END,
				c."notnull" = 0 AND c.pk = 0
			FROM `+tables+`, pragma_table_info(tables.name) AS c ORDER BY 1, c.cid`, scanColumn),
		Indexes: query(t, db, `SELECT tables.name, i.name,
				(SELECT group_concat(k.name) FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno) AS k), i."unique", i.partial
			FROM `+tables+`, pragma_index_list(tables.name) AS i WHERE i.origin = 'c' ORDER BY 1, 2`, scanIndex),
		ForeignKeys: query(t, db, `SELECT tables.name, k."from", k."table" || '.' || k."to", k.on_delete
			FROM `+tables+`, pragma_foreign_key_list(tables.name) AS k ORDER BY 1, 2`, scanForeignKey),
	}
}

func postgresSchema(t *testing.T, db *sql.DB) schema {
	t.Helper()
	return schema{
		Columns: query(t, db, `SELECT table_name, column_name,
				CASE data_type WHEN 'bigint' THEN 'integer' WHEN 'smallint' THEN 'integer' WHEN 'bytea' THEN 'bytes' ELSE data_type END,
				is_nullable = 'YES'
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
			ORDER BY table_name COLLATE "C", ordinal_position`, scanColumn),
		Indexes: query(t, db, `SELECT t.relname, c.relname,
				(SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
					JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum),
				i.indisunique, i.indpred IS NOT NULL
			FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
			WHERE t.relnamespace = 'public'::regnamespace AND NOT i.indisprimary AND t.relname <> 'goose_db_version'
			ORDER BY t.relname COLLATE "C", c.relname COLLATE "C"`, scanIndex),
		ForeignKeys: query(t, db, `SELECT t.relname, a.attname, r.relname || '.' || b.attname,
				CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' ELSE k.confdeltype::text END
			FROM pg_constraint AS k JOIN pg_class AS t ON t.oid = k.conrelid JOIN pg_class AS r ON r.oid = k.confrelid
				JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
				JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1]
			WHERE k.contype = 'f' AND t.relnamespace = 'public'::regnamespace
			ORDER BY t.relname COLLATE "C", a.attname COLLATE "C"`, scanForeignKey),
	}
}

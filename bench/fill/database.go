package fill

import (
	"context"
	"fmt"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

// Progress is called now and then with what is being done and how far it is.
type Progress func(what string, done, total int)

// Config names one database.
type Config struct {
	SQLitePath  string
	PostgresURL string
}

// Store is the configuration with which the program's own packages open the database.
func (c Config) Store() sqlstore.Config {
	return sqlstore.Config{
		SQLitePath: c.SQLitePath, PostgresURL: c.PostgresURL,
		Cache: auth.NewSessionCache(), Now: time.Now, PlaceholderDomain: "ideaegg.me",
	}
}

// Database brings the schema of an empty database up to date and puts the population into it. Indexes are taken away first
// and made again at the end. Nothing is safe from a crash before it returns: a database whose filling failed is to be
// thrown away.
func (p Population) Database(ctx context.Context, cfg Config, progress Progress) error {
	if _, err := sqlstore.Migrate(ctx, cfg.Store()); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	fill := p.sqlite
	if cfg.PostgresURL != "" {
		fill = p.postgres
	}
	if err := fill(ctx, cfg, progress); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return nil
}

// index is one that is made again after filling.
type index struct{ name, definition string }

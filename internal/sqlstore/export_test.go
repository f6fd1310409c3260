package sqlstore

import "context"

// QueryReader scans the first row of what a reading connection answers.
func (s *Store) QueryReader(ctx context.Context, query string, dest ...any) error {
	return s.engine.read(ctx, func(ctx context.Context, q querier) error { return q.row(ctx, query, nil, dest...) })
}

// QueryWriter scans the first row of what the writing connection answers.
func (s *Store) QueryWriter(ctx context.Context, query string, dest ...any) error {
	return s.engine.write(ctx, func(ctx context.Context, q querier) error { return q.row(ctx, query, nil, dest...) })
}

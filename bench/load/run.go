package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const redialPause = 10 * time.Millisecond // after a broken connection, so that a dead server is not dialled in a tight loop

// Run carries the plan out. Requests that are under way when the time is up are waited for. The error is about the plan, or
// about a server that cannot be reached at all; what went wrong later is in the Result.
func Run(ctx context.Context, p Plan) (Result, error) {
	if err := p.check(); err != nil {
		return Result{}, err
	}
	g := &generator{plan: p, requests: p.requests()}
	clients, err := g.connect(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()

	begun := time.Now()
	g.end = begun.Add(p.WarmUp + p.Duration)
	g.record = newRecorder(p.expected(), begun.Add(p.WarmUp), g.end)
	var running sync.WaitGroup
	if p.Rate > 0 {
		due := newSchedule(begun, p.Rate, p.WarmUp+p.Duration)
		released := make(chan time.Time, due.count) // never full: the times are kept whatever the server does
		running.Go(func() {
			defer close(released)
			due.release(ctx, released, &g.record.late)
		})
		for _, c := range clients {
			running.Go(func() { g.openLoop(ctx, c, released) })
		}
	} else {
		for _, c := range clients {
			running.Go(func() { g.closedLoop(ctx, c) })
		}
	}
	running.Wait()
	return g.record.finish(time.Now()), ctx.Err()
}

// generator carries out one plan.
type generator struct {
	plan     Plan
	requests [][]byte
	next     atomic.Int64
	end      time.Time
	record   *recorder
}

func (g *generator) connect(ctx context.Context) ([]*client, error) {
	clients := make([]*client, 0, g.plan.Connections)
	for range g.plan.Connections {
		c := &client{address: g.plan.Address}
		if err := c.dial(ctx); err != nil {
			for _, c := range clients {
				c.close()
			}
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// take returns the next request, or nil if each is used once and all were.
func (g *generator) take() []byte {
	n := g.next.Add(1) - 1
	if g.plan.Once && n >= int64(len(g.requests)) {
		return nil
	}
	return g.requests[n%int64(len(g.requests))]
}

func (g *generator) closedLoop(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		now := time.Now()
		if !now.Before(g.end) {
			return
		}
		request := g.take()
		if request == nil {
			return
		}
		g.ask(ctx, c, request, now)
	}
}

func (g *generator) openLoop(ctx context.Context, c *client, released <-chan time.Time) {
	for due := range released {
		if ctx.Err() != nil {
			return
		}
		request := g.take()
		if request == nil {
			return
		}
		g.ask(ctx, c, request, due)
	}
}

func (g *generator) ask(ctx context.Context, c *client, request []byte, begun time.Time) {
	status, err := c.do(ctx, request)
	if err != nil {
		g.record.broke(err)
		c.close()
		time.Sleep(redialPause)
		return
	}
	g.record.answer(status, c.body, begun, time.Now())
}

package mail

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

const inboxSize = 200

// Inbox is a Sender that keeps the last 200 messages in memory, for development.
type Inbox struct {
	mu       sync.Mutex
	messages []Message
}

// Send puts the message into the inbox; the oldest goes when it is full.
func (i *Inbox) Send(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.messages) == inboxSize {
		i.messages = slices.Delete(i.messages, 0, 1)
	}
	i.messages = append(i.messages, m)
	return nil
}

// List returns the messages, the one that was queued last first: several are sent at once, so who comes first is chance.
func (i *Inbox) List() []Message {
	i.mu.Lock()
	list := slices.Clone(i.messages)
	i.mu.Unlock()
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b Message) int { return cmp.Compare(b.ID, a.ID) })
	return list
}

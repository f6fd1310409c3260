package web

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ideaegg/latchkey/internal/auth"
)

// proxyHint notices that many users come from one private address: that is a proxy which --trusted-proxies does not name,
// and everybody behind it shares one limit.
type proxyHint struct {
	warn func(proxy netip.Addr) // called once
	now  func() time.Time

	mu    sync.Mutex
	done  bool
	since time.Time
	users map[netip.Addr]map[auth.UserID]struct{}
}

const (
	hintUsers     = 50 // more than a developer has, fewer than any app with users
	hintWindow    = 10 * time.Minute
	hintAddresses = 100 // a proxy is among the first; an office's machines are many, with few users each
)

// signedIn notes where a user signed in from.
func (h *proxyHint) signedIn(from netip.Addr, user auth.UserID) {
	if h == nil || !from.IsPrivate() && !from.IsLoopback() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done {
		return
	}
	if now := h.now(); h.users == nil || now.Sub(h.since) > hintWindow {
		h.since, h.users = now, make(map[netip.Addr]map[auth.UserID]struct{})
	}
	users := h.users[from]
	if users == nil {
		if len(h.users) == hintAddresses {
			return
		}
		users = make(map[auth.UserID]struct{})
		h.users[from] = users
	}
	if users[user] = struct{}{}; len(users) >= hintUsers {
		h.done, h.users = true, nil
		h.warn(from)
	}
}

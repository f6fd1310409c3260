// Package passhash hashes passwords with argon2id and governs how much of the machine that may take.
//
// A hash costs tens of milliseconds of a core and 19 MiB of memory, by design, and anybody may ask for one by trying
// to sign in. So a Hasher computes only as many at once as there are cores, in a helper process of the lowest
// priority, and lets the rest wait in a bounded queue that is fair between clients and has a deadline. Beyond
// that it refuses. The rest of the service does not notice.
//
// Sources: RFC 9106 (argon2), OWASP Password Storage Cheat Sheet (parameters), the PHC string format.
package passhash

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// ErrUnavailable reports that the helper died under this request, or that the Hasher is closed. The request may be
// repeated.
var ErrUnavailable = errors.New("passhash: unavailable")

// ErrTooLong reports a password or code of more than 1,280 bytes. Callers have a stricter limit of their own.
var ErrTooLong = errors.New("passhash: secret too long")

// OverloadedError reports that a request was refused unhashed, because the queue is full or its time in the queue is
// up.
type OverloadedError struct {
	RetryAfter time.Duration // 1 to 30 s, whole seconds: about the time to work off what waits now
}

func (e *OverloadedError) Error() string {
	return fmt.Sprintf("passhash: overloaded, retry after %v", e.RetryAfter)
}

const (
	maxWorkers = 1024

	// defaultMaxWait leaves half a second of the two within which a refusal must have arrived.
	defaultMaxWait = 1500 * time.Millisecond

	// defaultQueue is the length of the queue, or 64 for each worker if that is more. It is many times what the
	// workers can do within MaxWait, on purpose. Somebody who waits for a second and is refused then costs a few
	// hundred bytes; somebody who is refused at once often comes back at once, and answering that takes the processor
	// from the helper: with 512 clients that never pause, a queue of 128 left 6 sign-ins a second, and one of 1,024
	// left all 70.
	defaultQueue          = 1024
	defaultQueuePerWorker = 64

	// ahead is how many requests the helper has beyond those that it computes, so that a worker there goes on with
	// the next one while the answer is still on its way to a parent that may be busy.
	ahead = 1

	// starvedAfter is how long no hash may finish before this process computes one itself. A helper of idle
	// priority next to a service that uses every core gets 0.3 % of one, in the worst case; two sign-ins a second
	// are the floor, at a tenth of a core.
	starvedAfter = 400 * time.Millisecond

	// closeGrace is how long Close lets hashes under way finish.
	closeGrace = 5 * time.Second

	// defaultHelperIdle is how long a helper without a job is kept: an idle service has only its own memory, and one
	// with a sign-in every few minutes does not start a process for each.
	defaultHelperIdle = 5 * time.Minute

	// endGrace is how long an idle helper may take to notice the end of its input.
	endGrace = 2 * time.Second
)

// Config is what New needs. The zero value hashes in process with DefaultParams.
type Config struct {
	// Helper is the command line of the helper process, whose first element is a path: see HelperCommand. New's own
	// arguments follow it. Empty means to hash in this process, where a storm of sign-ins is felt by every other
	// request.
	Helper []string

	Workers     int           // hashes computed at once; 0 means one a core, or one less than the CPU quota
	QueueLength int           // requests that may wait; 0 means 1,024, or 64 for each worker if that is more
	MaxWait     time.Duration // how long one may wait; 0 means 1.5 s
	HelperIdle  time.Duration // how long a helper without a job is kept; 0 means 5 min
	Params      Params        // costs of new hashes; zero means DefaultParams
	Logger      *slog.Logger  // for the life of the helper; nil means none
}

// Verdict is the result of a verification.
type Verdict struct {
	Match  bool // the password is the right one
	Rehash bool // it is, and its hash costs less than today's do: store a new one
}

// Stats are figures for a metrics page. The last four only grow.
type Stats struct {
	Waiting  int    // requests in the queue
	Running  int    // requests being computed, or about to be in the helper
	Hashes   uint64 // requests answered with a hash
	Refused  uint64 // requests answered with OverloadedError
	Restarts uint64 // helpers that died
	Lent     uint64 // hashes that this process computed because the helper got no processor
}

// Hasher computes password hashes. Its methods may be called at the same time.
type Hasher struct {
	params     Params
	dummy      PasswordHash
	workers    int
	maxWait    time.Duration
	helper     helperOptions
	helperIdle time.Duration
	log        *slog.Logger
	now        func() time.Time

	working sync.WaitGroup // the workers, the lender, the supervisor, and the ends of helpers that it retired
	wanted  chan struct{}  // of capacity 1: full when the supervisor is to start a helper
	stop    chan struct{}  // closed when the supervisor is to end the helper
	closed  chan struct{}  // closed when Close is done

	mu       sync.Mutex
	wake     sync.Cond // there is something to do for a worker
	queue    *queue
	running  []*job      // without an answer yet, oldest first
	process  *process    // nil while there is none
	used     time.Time   // when process was started or had a job last
	local    bool        // workers may hash in this process
	busy     int         // workers with a job
	busyHere int         // those of them that hash in this process
	starved  *time.Timer // fires when no hash has finished for too long
	armed    bool        // starved is running
	lending  bool        // the lender hashes
	each     time.Duration
	fastest  time.Duration
	stats    Stats
	closing  bool
}

// New starts the workers; the first hash starts the helper. It returns an error that names the faulty field of
// cfg.
func New(cfg Config) (*Hasher, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = DefaultParams
	}
	switch fault := cfg.Params.fault(); {
	case fault != "":
		return nil, fmt.Errorf("passhash: Config.Params: %s", fault)
	case cfg.Workers < 0 || cfg.Workers > maxWorkers:
		return nil, fmt.Errorf("passhash: Config.Workers is not between 0 and %d", maxWorkers)
	case cfg.QueueLength < 0:
		return nil, errors.New("passhash: Config.QueueLength is negative")
	case cfg.MaxWait < 0:
		return nil, errors.New("passhash: Config.MaxWait is negative")
	case cfg.HelperIdle < 0:
		return nil, errors.New("passhash: Config.HelperIdle is negative")
	case len(cfg.Helper) > 0 && cfg.Helper[0] == "":
		return nil, errors.New("passhash: Config.Helper names no program")
	}
	if cfg.Workers == 0 {
		// Not GOMAXPROCS alone: where that follows the quota it hides that there is one.
		cores := workerCount(os.DirFS("/"), runtime.NumCPU())
		cfg.Workers = min(cores, runtime.GOMAXPROCS(0), maxWorkers)
	}
	if cfg.QueueLength == 0 {
		cfg.QueueLength = max(defaultQueue, defaultQueuePerWorker*cfg.Workers)
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = defaultMaxWait
	}
	if cfg.HelperIdle == 0 {
		cfg.HelperIdle = defaultHelperIdle
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hasher{
		params: cfg.Params,
		// Nobody's hash: as good as a real one for a verification that must fail, and no work at the start.
		dummy:      phc{params: cfg.Params, salt: random(saltSize), key: random(keySize)}.hash(),
		workers:    cfg.Workers,
		maxWait:    cfg.MaxWait,
		helper:     helperOptions{workers: cfg.Workers, memoryLimit: memoryLimit(cfg.Workers, cfg.Params)},
		helperIdle: cfg.HelperIdle,
		log:        cfg.Logger,
		now:        time.Now, //nolint:forbidigo // it times real work beside real timers; nothing is stored or decided by the date
		wanted:     make(chan struct{}, 1),
		stop:       make(chan struct{}),
		closed:     make(chan struct{}),
		queue:      newQueue(cfg.QueueLength),
		local:      len(cfg.Helper) == 0,
		each:       50 * time.Millisecond, // until it is measured
	}
	h.wake.L = &h.mu
	h.starved = time.AfterFunc(starvedAfter, h.lend)
	h.starved.Stop()
	goroutines := h.workers
	if !h.local {
		goroutines += ahead
		h.working.Go(func() { h.supervise(cfg.Helper) })
	}
	for range goroutines {
		h.working.Go(h.work)
	}
	return h, nil
}

// Close refuses what waits with ErrUnavailable, lets hashes under way finish (for at most 5 s), and ends the helper.
// When it returns, no goroutine and no process of the Hasher is left. It always returns nil.
func (h *Hasher) Close() error {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		<-h.closed
		return nil
	}
	h.closing = true
	for j := h.queue.pop(); j != nil; j = h.queue.pop() {
		h.answer(j, nil, ErrUnavailable)
	}
	h.wake.Broadcast()
	late := false
	patience := time.AfterFunc(closeGrace, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		late = true
		h.wake.Broadcast()
	})
	// Not until the workers are free: the lender may have answered what they wait for.
	for (len(h.running) > 0 || h.lending) && !late {
		h.wake.Wait()
	}
	h.starved.Stop()
	h.mu.Unlock()
	patience.Stop()
	close(h.stop)
	h.working.Wait()
	close(h.closed)
	return nil
}

// Hash returns a new hash of password with a salt of its own. client is whom the request counts against when others
// wait too, such as a client address. Errors: *OverloadedError, ErrUnavailable, ErrTooLong, or that of ctx, whose
// end is noticed at once but frees nothing that has already begun.
func (h *Hasher) Hash(ctx context.Context, client, password string) (PasswordHash, error) {
	salt := random(saltSize)
	key, err := h.derive(ctx, client, h.params, salt, keySize, password)
	if err != nil {
		return "", err
	}
	return phc{params: h.params, salt: salt, key: key}.hash(), nil
}

// Verify compares password with hash in constant time. Errors: those of Hash, and ErrMalformed, at once, for a hash
// that this package cannot have written.
func (h *Hasher) Verify(ctx context.Context, client string, hash PasswordHash, password string) (Verdict, error) {
	stored, err := parsePHC(hash)
	if err != nil {
		return Verdict{}, err
	}
	key, err := h.derive(ctx, client, stored.params, stored.salt, len(stored.key), password)
	if err != nil {
		return Verdict{}, err
	}
	match := subtle.ConstantTimeCompare(key, stored.key) == 1
	return Verdict{Match: match, Rehash: match && NeedsRehash(hash, h.params)}, nil
}

// VerifyNothing does the same work as a Verify of a hash with today's costs that does not match, for a login that
// does not exist or has no password, so that time tells nobody which it was. Errors: those of Hash.
func (h *Hasher) VerifyNothing(ctx context.Context, client, password string) error {
	_, err := h.Verify(ctx, client, h.dummy, password)
	return err
}

// Derive returns the argon2id key of secret with the costs of new hashes and a salt of 8 to 64 bytes that the caller
// keeps: for short one-time codes, whose plain SHA-256 would be guessed in an instant. Hashers with other Params derive
// other keys: codes that are outstanding when the costs are raised die with that.
// Errors: those of Hash.
func (h *Hasher) Derive(ctx context.Context, client, secret string, salt []byte) ([keySize]byte, error) {
	if len(salt) < minSalt || len(salt) > maxSalt {
		return [keySize]byte{}, fmt.Errorf("passhash: salt of %d bytes", len(salt))
	}
	key, err := h.derive(ctx, client, h.params, slices.Clone(salt), keySize, secret)
	if err != nil {
		return [keySize]byte{}, err
	}
	return [keySize]byte(key), nil
}

// HelperPID returns the process id of the helper, or 0 while there is none.
func (h *Hasher) HelperPID() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == nil {
		return 0
	}
	return h.process.cmd.Process.Pid
}

// Stats returns the present figures.
func (h *Hasher) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Waiting = h.queue.waiting
	s.Running = h.busy
	if h.lending {
		s.Running++
	}
	return s
}

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}

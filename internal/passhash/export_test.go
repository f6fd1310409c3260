package passhash

// What the tests in package passhash_test look at from inside.

var (
	CPUQuota     = cpuQuota
	RetryAfter   = retryAfter
	WorkerCount  = workerCount
	StartPause   = startPause
	RestartPause = restartPause
)

const (
	MaxSecret    = maxSecret
	StarvedAfter = starvedAfter
)

// PHC is a hash taken apart.
type PHC struct {
	Params    Params
	Salt, Key []byte
}

func ParsePHC(hash PasswordHash) (PHC, error) {
	h, err := parsePHC(hash)
	return PHC{Params: h.params, Salt: h.salt, Key: h.key}, err
}

func FormatPHC(h PHC) PasswordHash { return phc{params: h.Params, salt: h.Salt, key: h.Key}.hash() }

// Compute returns what a Hasher computes, without one.
func (h PHC) Compute(password string) []byte {
	return request{params: h.Params, keySize: len(h.Key), salt: h.Salt, secret: []byte(password)}.key()
}

// RequestFrame returns the frame of one request.
func RequestFrame(id uint64, h PHC, secret string) []byte {
	return request{params: h.Params, keySize: len(h.Key), salt: h.Salt, secret: []byte(secret)}.appendFrame(nil, id)
}

// ReparseRequest parses the body of a request frame and, if it is a good one, returns it written anew.
func ReparseRequest(body []byte) ([]byte, bool) {
	id, r, err := parseRequest(body)
	if err != nil {
		return nil, false
	}
	return r.appendFrame(nil, id)[4:], true
}

// Queue gives the tests the bare queue with names for jobs.
type Queue struct {
	q     *queue
	names map[*job]string
	jobs  map[string]*job
}

func NewQueue(limit int) *Queue {
	return &Queue{q: newQueue(limit), names: make(map[*job]string), jobs: make(map[string]*job)}
}

func (q *Queue) Push(client, name string) (displaced string, admitted bool) {
	j := &job{client: client}
	q.names[j], q.jobs[name] = name, j
	d, admitted := q.q.push(j)
	return q.names[d], admitted
}

func (q *Queue) Pop() string                 { return q.names[q.q.pop()] }
func (q *Queue) Remove(name string) bool     { return q.q.remove(q.jobs[name]) }
func (q *Queue) Waiting() int                { return q.q.waiting }
func (q *Queue) WaitingOf(client string) int { return q.q.waitingOf(client) }
func (q *Queue) Lanes() int                  { return len(q.q.lanes) }

package passhash

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

const (
	// stalledAfter is how long one hash may take in a helper before the helper is given up and killed. One that gets
	// 0.3 % of a core needs ten seconds; this is for one that is stuck. Nobody waits so long: see Hasher.lend.
	stalledAfter = time.Minute

	// greetTimeout bounds the start of a helper, which is also slow while others use every core.
	greetTimeout = 30 * time.Second
)

// process is the parent's end of one helper process.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	greeted chan struct{} // closed once the helper is ready
	gone    chan struct{} // closed once it has ended and is reaped; only then is exit set
	exit    string

	writing sync.Mutex // one frame at a time into in

	mu     sync.Mutex
	lastID uint64
	open   map[uint64]chan []byte // requests without an answer; nil once no answer will come
	proved bool                   // it has answered a request
}

// startProcess starts a helper without waiting for it. argv[0] is a path; the options follow argv.
// The caller runs serve in a goroutine.
func startProcess(argv []string, opts helperOptions) (*process, error) {
	cmd := &exec.Cmd{
		Path:        argv[0],
		Args:        append(argv[:len(argv):len(argv)], opts.args()...),
		Env:         []string{}, // the service's own holds secrets
		SysProcAttr: helperAttr(),
		// No standard error: what the Go runtime prints when it crashes may show arguments, and so keys.
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open a pipe to the helper: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a pipe from the helper: %w", err), in.Close())
	}
	if err := cmd.Start(); err != nil { // closes both pipes
		return nil, fmt.Errorf("start the helper: %w", err)
	}
	return &process{
		cmd: cmd, in: in, out: out,
		greeted: make(chan struct{}), gone: make(chan struct{}),
		open: make(map[uint64]chan []byte),
	}, nil
}

// serve hands out answers until the helper ends or says something wrong; then it calls lost, fails the open requests,
// ends the helper and reaps it.
func (p *process) serve(lost func()) {
	defer close(p.gone)
	err := p.read()
	lost() // first, so that nobody sends another request
	p.mu.Lock()
	for _, answer := range p.open {
		close(answer)
	}
	p.open = nil
	p.mu.Unlock()
	p.kill()
	_ = p.in.Close()
	_ = p.cmd.Wait()
	p.exit = p.cmd.ProcessState.String()
	if errors.Is(err, errFrame) {
		p.exit += " after a bad frame"
	}
}

// read returns the reason why no more answers will come.
func (p *process) read() error {
	r := bufio.NewReader(p.out)
	hello, err := readFrame(r, len(greeting))
	if err != nil {
		return err
	}
	if !bytes.Equal(hello, []byte(greeting)) {
		return errFrame
	}
	close(p.greeted)
	for {
		body, err := readFrame(r, maxAnswer)
		if err != nil {
			return err
		}
		id, key, err := parseAnswer(body)
		if err != nil {
			return err
		}
		p.mu.Lock()
		answer := p.open[id]
		delete(p.open, id)
		p.proved = true
		p.mu.Unlock()
		if answer == nil {
			return errFrame
		}
		answer <- key
	}
}

// derive has the helper compute r. It returns ErrUnavailable if the helper ends before it answers.
func (p *process) derive(r request) ([]byte, error) {
	answer := make(chan []byte, 1)
	p.mu.Lock()
	if p.open == nil {
		p.mu.Unlock()
		return nil, ErrUnavailable
	}
	p.lastID++
	id := p.lastID
	p.open[id] = answer
	p.mu.Unlock()

	// One Write for a frame. It can block only for a helper that has stopped reading, and fails when that one is
	// killed.
	frame := r.appendFrame(nil, id)
	p.writing.Lock()
	_, err := p.in.Write(frame)
	p.writing.Unlock()
	clear(frame)
	if err != nil {
		p.kill()
	}
	stalled := time.AfterFunc(stalledAfter, p.kill)
	defer stalled.Stop()
	key, ok := <-answer
	if !ok {
		return nil, ErrUnavailable
	}
	if len(key) != r.keySize {
		p.kill()
		return nil, ErrUnavailable
	}
	return key, nil
}

// kill ends the helper at once; serve notices.
func (p *process) kill() { _ = p.cmd.Process.Kill() }

// end lets the helper end by itself, at the end of its input, and kills it after a while.
func (p *process) end(patience time.Duration) {
	_ = p.in.Close()
	late := time.AfterFunc(patience, p.kill)
	defer late.Stop()
	<-p.gone
}

// useful reports whether the helper has answered any request.
func (p *process) useful() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proved
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/ideaegg/latchkey/bench/load"
)

// The generator and the limits run in processes of their own, started from this program, so that the garbage and the
// scheduler of one are not the other's. Each reads what it is to do from its input, as JSON.
var children = map[string]func(context.Context, io.Reader, io.Writer) error{
	"child-load":    child(load.Run),
	"child-argon2":  child(hashLoop),
	"child-inserts": child(insertLoop),
	"child-http":    serveAnswers,
}

func child[In, Out any](run func(context.Context, In) (Out, error)) func(context.Context, io.Reader, io.Writer) error {
	return func(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
		var in In
		if err := json.NewDecoder(stdin).Decode(&in); err != nil {
			return err
		}
		out, err := run(ctx, in)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(out)
	}
}

// runChild runs one of children that ends by itself.
func runChild[Out any](ctx context.Context, name string, in any) (out Out, err error) {
	input, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	cmd, err := childCommand(ctx, name)
	if err != nil {
		return out, err
	}
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

func childCommand(ctx context.Context, name string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, self, name), nil
}

// answer is what a server says to every request of one path.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// capture asks once and returns the answer, but for what net/http adds by itself.
func capture(ctx context.Context, method, url string, header map[string]string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return answer{}, err
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	for _, name := range []string{"Date", "Content-Length", "Connection"} {
		response.Header.Del(name)
	}
	return answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// bareServer is a child that answers as the service does and does nothing for it: what net/http itself costs.
type bareServer struct {
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
}

// startBareTwin asks the service once, and starts a server that gives the same answer for nothing.
func startBareTwin(ctx context.Context, s *service, method, path string, header map[string]string) (*bareServer, error) {
	a, err := capture(ctx, method, s.url(path), header)
	if err != nil {
		return nil, err
	}
	return startBareServer(ctx, map[string]answer{path: a})
}

func startBareServer(ctx context.Context, answers map[string]answer) (*bareServer, error) {
	cmd, err := childCommand(ctx, "child-http")
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &bareServer{cmd: cmd, stdin: stdin}
	if err := json.NewEncoder(stdin).Encode(answers); err != nil {
		s.stop()
		return nil, err
	}
	if err := json.NewDecoder(stdout).Decode(&s.address); err != nil {
		s.stop()
		return nil, fmt.Errorf("child-http: %w", err)
	}
	return s, nil
}

func (s *bareServer) stop() {
	_ = s.stdin.Close() // it ends when its input does
	_ = s.cmd.Wait()
}

// serveAnswers is the process of a bareServer. It prints its address and serves until its input ends.
func serveAnswers(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	input := json.NewDecoder(stdin)
	var answers map[string]answer
	if err := input.Decode(&answers); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(listener.Addr().String()); err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := answers[r.URL.Path]
			header := w.Header()
			for name, values := range a.Header {
				header[name] = values
			}
			w.WriteHeader(a.Status)
			_, _ = w.Write(a.Body)
		}),
	}
	go func() {
		_, _ = io.Copy(io.Discard, io.MultiReader(input.Buffered(), stdin))
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// stopProcess asks a process to end, and makes it after a while.
func stopProcess(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = cmd.Process.Kill() // where there is no such signal
	}
	timer := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	return cmd.Wait()
}

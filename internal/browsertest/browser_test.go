package browsertest

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a chromium with a new profile. When the test ends it must not have asked any other host for anything, and
// the console must be empty.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	hosts  []string // that it may ask for something
	faults []string
}

// open starts a browser whose user reads this language.
func open(t *testing.T, p *program, language string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("LATCHKEY_TEST_FULL") != "" {
			t.Fatal("chromium is not on the PATH: install it")
		}
		t.Skip("chromium is not on the PATH")
	}
	timed, cancelTimed := context.WithTimeout(context.Background(), 10*time.Minute)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		// With a process of their own, sandboxed frames are painted after the picture is taken.
		chromedp.Flag("disable-features", "Translate,IsolateSandboxedIframes"), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-pings", true), chromedp.Flag("lang", "en-US"),
		chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")))
	allocated, cancelAllocated := chromedp.NewExecAllocator(timed, options...)
	ctx, cancel := chromedp.NewContext(allocated)
	b := &browser{t: t, ctx: ctx}
	b.expect(p.url)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		cancel()
		cancelAllocated()
		cancelTimed()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			t.Error(fault)
		}
	})
	if err := chromedp.Listen(ctx, func(event any) { b.watch(event) }); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	b.do(
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
				Headers: network.Headers{"Accept-Language": language},
			})
			return err
		}))
	return b
}

// expect lets the browser ask these origins, of http.
func (b *browser) expect(origins ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, origin := range origins {
		b.hosts = append(b.hosts, strings.TrimPrefix(origin, "http://"))
	}
}

func (b *browser) expects(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.hosts, host)
}

// watch notes what must not happen.
func (b *browser) watch(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		switch {
		case err != nil:
			b.note("the browser asked for %q", e.Request.URL)
		case u.Scheme == "data", u.Scheme == "about", u.Scheme == "http" && b.expects(u.Host):
		default:
			b.note("the browser asked another host: %s", e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		b.note("a script failed: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.note("a script wrote to the console: %s", e.Type)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelVerbose || e.Entry.Level == log.EntryLevelInfo {
			return
		}
		// A page with a status of 4xx is an answer like any other.
		if e.Entry.Source == "network" && strings.Contains(e.Entry.Text, "the server responded with a status of 4") &&
			(strings.Contains(e.Entry.URL, "/account/") || strings.Contains(e.Entry.URL, "/sign_in_with/wechat/")) {
			return
		}
		b.note("the console says: %s %s: %s (%s)", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
	}
}

func (b *browser) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v\n%s", err, b.where())
	}
}

// run is do for an action with a result.
func run[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("browser: %v\n%s", err, b.where())
	}
	return v
}

// eval is the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// where describes the page for a message; the query may hold a token.
func (b *browser) where() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.pathname + '\\n' + document.body.innerText"))
	if err != nil {
		return "(no page)"
	}
	return text
}

// visit opens a page and returns its status.
func (b *browser) visit(address string) int64 {
	b.t.Helper()
	return b.load(chromedp.Navigate(address))
}

// load does what makes the browser load a page, and returns the page's status.
func (b *browser) load(actions ...chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, actions...)
	if err != nil {
		b.t.Fatalf("browser: %v\n%s", err, b.where())
	}
	return response.Status
}

// press presses the page's button and waits for what comes.
func (b *browser) press() int64 {
	b.t.Helper()
	return b.load(chromedp.Click(chromedp.CSS("main form button")))
}

// write types into an input.
func (b *browser) write(id, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS("#"+id), text))
}

// keys presses keys, wherever the focus is.
func (b *browser) keys(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// enter presses Enter as a keyboard does: what is typed goes with the key. As an event of its own it would reach
// whatever the key has moved the focus to.
func enter() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		key := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13}
		if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, key); err != nil {
			return err
		}
		key.Type, key.Text = input.DispatchKeyEventTypeKeyUp, ""
		_, err := chromedp.Call(ctx, input.DispatchKeyEvent, key)
		return err
	})
}

// tabTo presses Tab until the element has the focus, which must be seen on every element on the way.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range 30 {
		b.keys(kb.Tab)
		if !eval[bool](b, `(() => { const s = getComputedStyle(document.activeElement); return document.activeElement === document.body || s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2; })()`) {
			b.t.Errorf("got focus that cannot be seen on %s", eval[string](b, "document.activeElement.outerHTML"))
		}
		if eval[bool](b, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
	}
	b.t.Fatalf("got no way to %s with Tab\n%s", selector, b.where())
}

// await waits until an expression is true; the page may be loaded again meanwhile.
func (b *browser) await(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("waited in vain for %s\n%s", expression, b.where())
		case <-again.C:
		}
	}
}

// heading checks what the page is.
func (b *browser) heading(want string) {
	b.t.Helper()
	if got := run(b, chromedp.Text(chromedp.CSS("h1"))); got != want {
		b.t.Fatalf("got the page %q, want %q\n%s", got, want, b.where())
	}
}

// says checks that a text can be read on the page.
func (b *browser) says(want string) {
	b.t.Helper()
	if got := eval[string](b, "document.body.innerText"); !strings.Contains(got, want) {
		b.t.Errorf("got no %q on the page:\n%s", want, got)
	}
}

// path checks the address; nothing of a token may be left in it.
func (b *browser) path(want string) {
	b.t.Helper()
	if got := eval[string](b, "location.pathname + location.search"); got != want {
		b.t.Errorf("got address %q, want %q", got, want)
	}
}

// screen is a kind of screen.
type screen struct {
	name          string
	width, height int64
	scale         float64
	mobile        bool
}

var (
	phone   = screen{"phone", 390, 844, 2, true}
	narrow  = screen{"narrow", 320, 568, 2, true}
	desktop = screen{"desktop", 1280, 800, 1, false}
)

// show sets the screen and what the user prefers: "prefers-color-scheme" and the like.
func (b *browser) show(s screen, preferences map[string]string) {
	b.t.Helper()
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(s.scale)}
	if s.mobile {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	var features []*emulation.MediaFeature
	for name, value := range preferences {
		features = append(features, &emulation.MediaFeature{Name: name, Value: value})
	}
	b.do(chromedp.EmulateViewport(s.width, s.height, options...),
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
			return err
		}))
}

// screenshots is where pictures of pages go; git ignores the folder.
const screenshots = "../../screenshots"

// picture writes a picture of the whole page.
func (b *browser) picture(name string) {
	b.t.Helper()
	picture := run(b, chromedp.FullScreenshot(100))
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// axe is axe-core, which finds what keeps people from using a page.
var axe = sync.OnceValues(func() (string, error) {
	f, err := os.Open("testdata/axe/axe.min.js.gz")
	if err != nil {
		return "", err
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(unpacked)
	return string(b), err
})

// accessible checks that axe-core finds nothing, its rules of best practice included.
func (b *browser) accessible(name string) {
	b.t.Helper()
	source, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Evaluate[chromedp.Void](source))
	violations := eval[[]struct {
		Rule, Help string
		Nodes      []string
	}](b, `axe.run(document, {preload: false, iframes: false, resultTypes: ["violations"], rules: {"target-size": {enabled: true}}}).then(r =>
		r.violations.map(v => ({Rule: v.id, Help: v.help, Nodes: v.nodes.map(n => n.html + " " + n.failureSummary)})))`)
	for _, v := range violations {
		b.t.Errorf("%s: axe finds %s: %s\n%s", name, v.Rule, v.Help, strings.Join(v.Nodes, "\n"))
	}
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

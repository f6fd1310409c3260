// Command fakewechat is a WeChat to play with: the stand-in of package wechattest with a few apps and people, on a
// loopback address. From the module's root:
//
//	go run ./internal/tools/fakewechat [--listen 127.0.0.1:9090]
//
// It prints how to point a server at it and how to get a code for a person. Its page at / has buttons for the same, and
// for making it misbehave. Apps, secrets and people are the same at every start, and so are openids and unionids; codes
// and tokens are not. Nothing of it is secret: whoever reaches it signs in as anybody.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ideaegg/latchkey/internal/wechattest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "fakewechat:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("fakewechat", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:9090", "loopback `address` to listen on, port 0 for any free one")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if err := checkLoopback(*listen); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	f := newFake("http://" + listener.Addr().String())
	server := &http.Server{Handler: f.handler(), ReadHeaderTimeout: 10 * time.Second}
	f.explain(stdout)

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	f.wechat.Close()
	_ = server.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// checkLoopback refuses an address that others could reach.
func checkLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	addr, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return errors.New("--listen: anybody may sign in as anybody here, so the address must be loopback: 127.0.0.1, ::1 or localhost")
	}
	return nil
}

// fake is the stand-in and its own page.
type fake struct {
	url    string
	wechat *wechattest.WeChat
}

// newFake returns a stand-in with apps of all kinds in two groups, and people.
func newFake(url string) *fake {
	f := &fake{url: url, wechat: wechattest.New(wechattest.Config{Seed: "fakewechat"})}
	for _, a := range []wechattest.App{
		{ID: "wx-mini", Kind: wechattest.MiniProgram, Name: "Example mini program", Group: "main"},
		{ID: "wx-mobile", Kind: wechattest.Mobile, Name: "Example app", Group: "main"},
		{ID: "wx-website", Kind: wechattest.Website, Name: "Example website", Group: "main"},
		{ID: "wx-account", Kind: wechattest.OfficialAccount, Name: "Example account", Group: "main"},
		{ID: "wx-mini-2", Kind: wechattest.MiniProgram, Name: "Second mini program", Group: "second"},
		{ID: "wx-mobile-2", Kind: wechattest.Mobile, Name: "Second app", Group: "second"},
	} {
		a.Secret = "fake-secret-of-" + a.ID // it protects nothing, and can be pasted once and for all
		f.wechat.AddApp(a)
	}
	for _, p := range []wechattest.Person{
		{ID: "li-lei", Nickname: "李雷", PhoneNumber: "13800138000"},
		{ID: "han-meimei", Nickname: "韩梅梅", PhoneNumber: "13900139000"},
		{ID: "lucy", Nickname: "Lucy", CountryCode: "852", PhoneNumber: "51234567"},
		{ID: "wei-hua", Nickname: "魏华 (blocked)", Blocked: true},
	} {
		f.wechat.AddPerson(p)
	}
	return f
}

// settings returns the flags that point a server at the stand-in.
func (f *fake) settings() string {
	type app struct {
		ID     string `json:"app_id"`
		Secret string `json:"secret"`
		Kind   string `json:"kind"`
		Group  string `json:"group"`
	}
	var apps []app
	for _, a := range f.wechat.Apps() {
		apps = append(apps, app{a.ID, a.Secret, string(a.Kind), a.Group})
	}
	list, err := json.Marshal(apps)
	if err != nil {
		panic(err) // texts
	}
	return fmt.Sprintf("--wechat-api=%s --wechat-apps='%s' --wechat-redirects=%s", f.url, list, redirectExample)
}

// redirectExample is where the example page of README.md wants browsers sent back to.
const redirectExample = "http://127.0.0.1:3000/"

// explain says what one can do now.
func (f *fake) explain(w io.Writer) {
	fmt.Fprintf(w, "A stand-in for WeChat listens on %s\n\n", f.url)
	fmt.Fprintf(w, "Point latchkey at it:\n\n  latchkey serve --dev %s\n\n", f.settings())
	fmt.Fprintf(w, "Get a code (or use the buttons at %s/):\n\n", f.url)
	for _, line := range []string{"/fake/code -d app=wx-mini -d person=li-lei", "/fake/phone_code -d app=wx-mini -d person=li-lei", "/fake/token -d app=wx-mobile -d person=han-meimei"} {
		path, data, _ := strings.Cut(line, " ")
		fmt.Fprintf(w, "  curl -s %s%s %s\n", f.url, path, data)
	}
	fmt.Fprintf(w, "\nApps:  ")
	for _, a := range f.wechat.Apps() {
		fmt.Fprintf(w, " %s", a.ID)
	}
	fmt.Fprintf(w, "\nPeople:")
	for _, p := range f.wechat.People() {
		fmt.Fprintf(w, " %s", p.ID)
	}
	fmt.Fprintf(w, "\n\nMake it misbehave (path may be empty for all calls, mode empty to end it):\n\n")
	fmt.Fprintf(w, "  curl -s %s/fake/fail -d path=/sns/jscode2session -d mode=errcode:45011\n\n", f.url)
}

package web_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/web"
)

// FuzzFlowCookie checks that what is read from a cookie is written again as the same, and as something that a cookie can
// hold: nothing gets in by one way of writing that another way of reading sees differently.
func FuzzFlowCookie(f *testing.F) {
	const hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for _, seed := range []string{
		"app_id=wx1&code_challenge=&code_challenge_method=&expires=1780000000&redirect_to=https%3A%2F%2Fapp.example.com%2F&state=&state_hash=" + hash,
		"app_id=wx1&code_challenge=c&code_challenge_method=S256&expires=1&redirect_to=com.example.app%3A%2Fx&state=a%0D%0Ab&state_hash=" + hash,
		"app_id=wx1&app_id=wx2&code_challenge=&code_challenge_method=&expires=1&redirect_to=&state=&state_hash=" + hash,
		"app_id;x=1", "%zz", "expires=-1", "state_hash=" + hash, "&&&", "app_id=%00&expires=99999999999999999999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		again, in := web.RewriteFlow(value)
		if again == "" {
			return
		}
		cookie := &http.Cookie{Name: "__Host-x", Value: again, Path: "/", Secure: true}
		if err := cookie.Valid(); err != nil {
			t.Errorf("got the cookie %q: %v", again, err)
		}
		third, same := web.RewriteFlow(again)
		if third != again {
			t.Errorf("got %q, then %q", again, third)
		}
		if diff := cmp.Diff(in, same); diff != "" {
			t.Errorf("read, written and read again (-first +again):\n%s", diff)
		}
	})
}

func TestAnswerIsAddedToTheAddressAsItIs(t *testing.T) {
	t.Parallel()
	add := url.Values{"code": {"c"}, "state": {"a&b=c#d\r\n"}}
	const added = "code=c&state=a%26b%3Dc%23d%0D%0A"
	for address, want := range map[string]string{
		"https://app.example.com":             "https://app.example.com?" + added,
		"https://app.example.com/x?y=%2F&z":   "https://app.example.com/x?y=%2F&z&" + added,
		"com.example.app:/signed-in":          "com.example.app:/signed-in?" + added,
		"http://127.0.0.1:3000/back?a=1+2%20": "http://127.0.0.1:3000/back?a=1+2%20&" + added,
	} {
		if got := web.WithQuery(address, add); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

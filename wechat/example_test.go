package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ideaegg/latchkey/wechat"
)

// fakeWeChat answers every request with one body, so that the examples run without WeChat.
func fakeWeChat(body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, body)
	}))
}

// A mini program calls wx.login and sends the code to its backend, which learns who it is.
func ExampleClient_ExchangeCode() {
	fake := fakeWeChat(`{"openid":"oHAUs6LSuwgHqmlnFrffKXw3QYM0","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}`)
	defer fake.Close()
	client, err := wechat.New(wechat.Config{BaseURL: fake.URL}) // without BaseURL: WeChat itself
	if err != nil {
		fmt.Println(err)
		return
	}
	app := wechat.App{ID: "wx0123456789abcdef", Secret: "app secret", Kind: wechat.MiniProgram}

	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	session, err := client.ExchangeCode(ctx, app, "081mh5100Xe8Dl1v6k300lIvPz1mh51J")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.OpenID)
	// Output: oHAUs6LSuwgHqmlnFrffKXw3QYM0
}

// What to do about an error follows from its class.
func ExampleError() {
	fake := fakeWeChat(`{"errcode":45011,"errmsg":"api minute-quota reach limit, must slower, retry next minute, rid: 66c69111-4157f271-729ca238"}`)
	defer fake.Close()
	client, err := wechat.New(wechat.Config{BaseURL: fake.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	app := wechat.App{ID: "wx0123456789abcdef", Secret: "app secret", Kind: wechat.Mobile}

	_, err = client.ExchangeCode(context.Background(), app, "081mh5100Xe8Dl1v6k300lIvPz1mh51J")
	e, _ := errors.AsType[*wechat.Error](err)
	switch {
	case errors.Is(err, wechat.ErrInvalidCode), errors.Is(err, wechat.ErrBlocked), errors.Is(err, wechat.ErrSnapshotUser):
		fmt.Println("the person is not signed in")
	case errors.Is(err, wechat.ErrBusy):
		fmt.Println("try again in", e.RetryAfter)
	case errors.Is(err, wechat.ErrMisconfigured):
		fmt.Println("the operator has to look at the app")
	default:
		fmt.Println("WeChat does not work")
	}
	fmt.Println(err)
	// Output:
	// try again in 1m0s
	// wechat: /sns/oauth2/access_token: WeChat is busy or a quota is used up (errcode 45011, rid 66c69111-4157f271-729ca238)
}

// A website shows WeChat's page with a QR code. WeChat sends the browser back with code and state in the query.
func ExampleClient_PageURL() {
	client, err := wechat.New(wechat.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	app := wechat.App{ID: "wx0123456789abcdef", Kind: wechat.Website}
	url, err := client.PageURL(app, wechat.Page{
		RedirectURL: "https://app.example/wechat/callback",
		State:       "Zm3tWq8yK1", // random, kept in a cookie, compared when the browser comes back
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(url)
	// Output: https://open.weixin.qq.com/connect/qrconnect?appid=wx0123456789abcdef&redirect_uri=https%3A%2F%2Fapp.example%2Fwechat%2Fcallback&response_type=code&scope=snsapi_login&state=Zm3tWq8yK1#wechat_redirect
}

// A code is a secret while it lives; like the others it does not show by accident.
func ExampleCode() {
	code := wechat.Code("081mh5100Xe8Dl1v6k300lIvPz1mh51J")
	fmt.Println("exchanging", code)
	fmt.Printf("%q is %d characters long\n", code.Reveal(), len(code))
	// Output:
	// exchanging [redacted]
	// "081mh5100Xe8Dl1v6k300lIvPz1mh51J" is 32 characters long
}

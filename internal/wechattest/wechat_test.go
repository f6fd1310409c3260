package wechattest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/wechattest"
)

// members is a JSON object.
type members = map[string]any

// start starts a stand-in that, unlike NewServer's, puts up with anything.
func start(t *testing.T) (*wechattest.WeChat, string) {
	t.Helper()
	w := wechattest.New(wechattest.Config{})
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		w.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return w, server.URL
}

// reply is an answer that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request, with POST if there is a body, and returns the answer.
func send(t *testing.T, base, path string, query url.Values, body string) reply {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// object returns the JSON object of an answer with status 200.
func object(t *testing.T, base, path string, query url.Values, body string) members {
	t.Helper()
	got := send(t, base, path, query, body)
	var m members
	if err := json.Unmarshal([]byte(got.body), &m); err != nil || got.status != http.StatusOK {
		t.Fatalf("got %d %s, %v, want a JSON object", got.status, got.body, err)
	}
	return m
}

func codeQuery(a wechattest.App, code string) url.Values {
	name := "code"
	if a.Kind == wechattest.MiniProgram {
		name = "js_code"
	}
	return url.Values{"appid": {a.ID}, "secret": {a.Secret}, name: {code}, "grant_type": {"authorization_code"}}
}

func codePath(a wechattest.App) string {
	if a.Kind == wechattest.MiniProgram {
		return wechattest.PathMiniProgramCode
	}
	return wechattest.PathCode
}

func keys(m members) map[string]string {
	types := make(map[string]string, len(m))
	for name, value := range m {
		b, _ := json.Marshal(value)
		switch b[0] {
		case '"':
			types[name] = "string"
		case '[':
			types[name] = "array"
		case '{':
			types[name] = "object"
		default:
			types[name] = "number"
		}
	}
	return types
}

func TestAnswersHaveTheDocumentedMembers(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	mini := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram})
	website := w.AddApp(wechattest.App{Kind: wechattest.Website, Group: "g"})
	p := w.AddPerson(wechattest.Person{Nickname: "韩梅梅", PhoneNumber: "13800138000"})

	plain := send(t, base, wechattest.PathMiniProgramCode, codeQuery(mini, w.Code(mini, p)), "")
	if got := plain.header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("got type %q, want text/plain as WeChat has it", got)
	}
	unbound := object(t, base, wechattest.PathMiniProgramCode, codeQuery(mini, w.Code(mini, p)), "")
	w.BindGroup(mini, "g")
	bound := object(t, base, wechattest.PathMiniProgramCode, codeQuery(mini, w.Code(mini, p)), "")
	oauth := object(t, base, wechattest.PathCode, codeQuery(website, w.Code(website, p)), "")
	user := url.Values{"access_token": {w.UserToken(website, p)}, "openid": {w.OpenID(website, p)}}
	app := object(t, base, wechattest.PathAppToken, nil, `{"grant_type":"client_credential","appid":"`+mini.ID+`","secret":"`+mini.Secret+`"}`)
	token, _ := app["access_token"].(string)
	phone := object(t, base, wechattest.PathPhone, url.Values{"access_token": {token}}, `{"code":"`+w.PhoneCode(mini, p)+`"}`)
	info, _ := phone["phone_info"].(members)
	mark, _ := info["watermark"].(members)

	for _, tt := range []struct {
		name string
		got  members
		want map[string]string
	}{
		{"mini program, unbound", unbound, map[string]string{"openid": "string", "session_key": "string"}},
		{"mini program, bound", bound, map[string]string{"openid": "string", "session_key": "string", "unionid": "string"}},
		{"code", oauth, map[string]string{
			"access_token": "string", "expires_in": "number", "refresh_token": "string", "openid": "string",
			"scope": "string", "unionid": "string",
		}},
		{"verify", object(t, base, wechattest.PathVerify, user, ""), map[string]string{"errcode": "number", "errmsg": "string"}},
		{"profile", object(t, base, wechattest.PathProfile, user, ""), map[string]string{
			"openid": "string", "nickname": "string", "sex": "number", "language": "string", "city": "string",
			"province": "string", "country": "string", "headimgurl": "string", "privilege": "array", "unionid": "string",
		}},
		{"app token", app, map[string]string{"access_token": "string", "expires_in": "number"}},
		{"phone", phone, map[string]string{"errcode": "number", "errmsg": "string", "phone_info": "object"}},
		{"phone_info", info, map[string]string{
			"phoneNumber": "string", "purePhoneNumber": "string", "countryCode": "string", "watermark": "object",
		}},
		{"watermark", mark, map[string]string{"timestamp": "number", "appid": "string"}},
	} {
		if diff := cmp.Diff(tt.want, keys(tt.got)); diff != "" {
			t.Errorf("%s: members differ (-want +got):\n%s", tt.name, diff)
		}
	}
	if bound["openid"] != w.OpenID(mini, p) || bound["unionid"] != w.UnionID(mini, p) || oauth["unionid"] != bound["unionid"] {
		t.Errorf("got %v and %v, want the person of one group", bound, oauth)
	}
	if len(w.OpenID(mini, p)) != 28 {
		t.Errorf("got openid %q, want 28 characters", w.OpenID(mini, p))
	}
	if v := w.Violations(); len(v) != 0 {
		t.Errorf("got violations %q, want none", v)
	}
}

func TestErrorsEndInARequestID(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	mini, p := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram}), w.AddPerson(wechattest.Person{PhoneNumber: "13800138000"})
	website := w.AddApp(wechattest.App{Kind: wechattest.Website})
	with := func(q url.Values, name, value string) url.Values {
		if value == "" {
			q.Del(name)
		} else {
			q.Set(name, value)
		}
		return q
	}
	fetch := func(id, secret, grant string) string {
		b, _ := json.Marshal(map[string]string{"appid": id, "secret": secret, "grant_type": grant})
		return string(b)
	}
	user := func() url.Values {
		return url.Values{"access_token": {w.UserToken(website, p)}, "openid": {w.OpenID(website, p)}}
	}
	appToken := url.Values{"access_token": {w.AppToken(mini)}}
	tests := []struct {
		path  string
		query url.Values
		body  string
		code  float64
		text  string
	}{
		{wechattest.PathMiniProgramCode, with(codeQuery(mini, "x"), "appid", ""), "", 41002, "appid missing"},
		{wechattest.PathMiniProgramCode, with(codeQuery(mini, "x"), "secret", ""), "", 41004, "appsecret missing"},
		{wechattest.PathMiniProgramCode, with(codeQuery(mini, "x"), "js_code", ""), "", 41008, "missing code"},
		{wechattest.PathMiniProgramCode, with(codeQuery(mini, "x"), "grant_type", "password"), "", 40002, "invalid grant_type"},
		{wechattest.PathMiniProgramCode, with(codeQuery(mini, "x"), "appid", "wxnobody"), "", 40013, "invalid appid"},
		{wechattest.PathMiniProgramCode, with(codeQuery(mini, "x"), "secret", "x"), "", 40125, "invalid appsecret"},
		{wechattest.PathMiniProgramCode, codeQuery(mini, "x"), "", 40029, "invalid code"},
		{wechattest.PathMiniProgramCode, with(codeQuery(website, ""), "js_code", w.Code(website, p)), "", 40029, "invalid code"},
		{wechattest.PathCode, with(codeQuery(mini, ""), "code", w.Code(mini, p)), "", 40029, "invalid code"},
		{wechattest.PathCode, codeQuery(website, "x"), "{}", 43001, "require GET method"},
		{wechattest.PathVerify, with(user(), "access_token", ""), "", 41001, "access_token missing"},
		{wechattest.PathVerify, with(user(), "openid", ""), "", 41009, "missing openid"},
		{wechattest.PathVerify, with(user(), "openid", "o1"), "", 40003, "invalid openid"},
		{wechattest.PathProfile, with(user(), "access_token", "x"), "", 40001, "invalid credential"},
		{wechattest.PathAppToken, nil, "", 43002, "require POST method"},
		{wechattest.PathAppToken, nil, " ", 44002, "empty post data"},
		{wechattest.PathAppToken, nil, "{", 47001, "data format error"},
		{wechattest.PathAppToken, nil, fetch(mini.ID, mini.Secret, ""), 40002, "invalid grant_type"},
		{wechattest.PathAppToken, nil, fetch(mini.ID, "x", "client_credential"), 40125, "invalid appsecret"},
		{wechattest.PathAppToken, nil, fetch(website.ID, website.Secret, "client_credential"), 40013, "invalid appid"},
		{wechattest.PathPhone, nil, `{"code":"x"}`, 41001, "access_token missing"},
		{wechattest.PathPhone, url.Values{"access_token": {"x"}}, `{"code":"x"}`, 40001, "invalid credential"},
		{wechattest.PathPhone, appToken, " ", 44002, "empty post data"},
		{wechattest.PathPhone, appToken, `{"code":"x"}`, 40029, "invalid code hint: ["},
		{wechattest.PathPhone, appToken, `{"code":"` + w.PhoneCode(mini, p) + `","openid":"o1"}`, 40003, "invalid openid"},
		{"/sns/nonsense", nil, "", 40066, "invalid url"},
	}
	end := regexp.MustCompile(` rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)
	for _, tt := range tests {
		got := object(t, base, tt.path, tt.query, tt.body)
		text, _ := got["errmsg"].(string)
		if got["errcode"] != tt.code || !strings.HasPrefix(text, tt.text) || !end.MatchString(text) || len(got) != 2 {
			t.Errorf("%s %s: got %v, want %v %q and a request id", tt.path, tt.body, got, tt.code, tt.text)
		}
	}
}

func TestOneCodeCanBeUsedOnce(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	for _, kind := range []wechattest.Kind{wechattest.MiniProgram, wechattest.Mobile, wechattest.Website, wechattest.OfficialAccount} {
		a, p := w.AddApp(wechattest.App{Kind: kind}), w.AddPerson(wechattest.Person{})
		code := w.Code(a, p)
		got := make([]members, 20)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { got[i] = object(t, base, codePath(a), codeQuery(a, code), "") })
		}
		wg.Wait()
		used, good := 0, 0
		for _, m := range got {
			switch {
			case m["openid"] == w.OpenID(a, p):
				good++
			case m["errcode"] == 40163.0:
				used++
			}
		}
		if good != 1 || used != 19 {
			t.Errorf("%s: got %d good answers and %d times 40163, want 1 and 19", kind, good, used)
		}
	}
}

func TestARefusedCodeIsNotUsedUp(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	a, other := w.AddApp(wechattest.App{Kind: wechattest.Mobile}), w.AddApp(wechattest.App{Kind: wechattest.Mobile})
	code := w.Code(a, w.AddPerson(wechattest.Person{}))
	wrong := a
	wrong.Secret = "x"
	for _, refused := range []wechattest.App{other, wrong} {
		if m := object(t, base, wechattest.PathCode, codeQuery(refused, code), ""); m["openid"] != nil {
			t.Fatalf("got %v, want a refusal", m)
		}
	}
	if m := object(t, base, wechattest.PathCode, codeQuery(a, code), ""); m["openid"] == nil {
		t.Errorf("got %v, want the person", m)
	}
}

func TestCodesAndTokensExpire(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	p := w.AddPerson(wechattest.Person{})
	lives := map[wechattest.Kind]time.Duration{
		wechattest.MiniProgram: 5 * time.Minute, wechattest.OfficialAccount: 5 * time.Minute,
		wechattest.Mobile: 10 * time.Minute, wechattest.Website: 10 * time.Minute,
	}
	for kind, life := range lives {
		a := w.AddApp(wechattest.App{Kind: kind})
		fresh, old := w.Code(a, p), w.Code(a, p)
		w.Advance(life - time.Second)
		if m := object(t, base, codePath(a), codeQuery(a, fresh), ""); m["openid"] == nil {
			t.Errorf("%s: got %v a second before the end, want the person", kind, m)
		}
		w.Advance(2 * time.Second)
		if m := object(t, base, codePath(a), codeQuery(a, old), ""); m["errcode"] != 42003.0 && m["errcode"] != 40029.0 {
			t.Errorf("%s: got %v after the end, want a refusal", kind, m)
		}
	}
}

func TestQuotaIsPerMinuteAndPerson(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	w := wechattest.New(wechattest.Config{Now: func() time.Time { return at }})
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	a := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram})
	p, other := w.AddPerson(wechattest.Person{}), w.AddPerson(wechattest.Person{})
	w.SetQuota(wechattest.PathMiniProgramCode, 2)
	exchange := func(p wechattest.Person) any {
		return object(t, server.URL, wechattest.PathMiniProgramCode, codeQuery(a, w.Code(a, p)), "")["errcode"]
	}
	for i, want := range []any{nil, nil, 45011.0, 45011.0} {
		if got := exchange(p); got != want {
			t.Errorf("request %d: got errcode %v, want %v", i+1, got, want)
		}
	}
	if got := exchange(other); got != nil {
		t.Errorf("got errcode %v for another person, want success", got)
	}
	w.Advance(time.Minute)
	if got := exchange(p); got != nil {
		t.Errorf("got errcode %v in the next minute, want success", got)
	}
}

func TestForcedRefreshes(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	a := w.AddApp(wechattest.App{Kind: wechattest.OfficialAccount})
	fetch := func() members {
		return object(t, base, wechattest.PathAppToken, nil,
			`{"grant_type":"client_credential","appid":"`+a.ID+`","secret":"`+a.Secret+`","force_refresh":true}`)
	}
	before := w.AppToken(a)
	seen := map[any]bool{before: true}
	for i := range 20 {
		if token := fetch()["access_token"]; token == nil || seen[token] {
			t.Fatalf("refresh %d: got no new token", i+1)
		} else {
			seen[token] = true
		}
		if token := fetch()["access_token"]; !seen[token] {
			t.Fatalf("refresh %d: got a new token within 30 s", i+1)
		}
		w.Advance(30 * time.Second)
	}
	if m := fetch(); m["errcode"] != 45009.0 {
		t.Errorf("got %v, want no more than 20 a day", m)
	}
	w.Advance(24 * time.Hour)
	if m := fetch(); m["access_token"] == nil {
		t.Errorf("got %v the next day, want a new token", m)
	}
}

func TestTheOldAppTokenLivesOnBesideTheNewOne(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	a, p := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram}), w.AddPerson(wechattest.Person{PhoneNumber: "13800138000"})
	use := func(token string) any {
		return object(t, base, wechattest.PathPhone, url.Values{"access_token": {token}}, `{"code":"`+w.PhoneCode(a, p)+`"}`)["errcode"]
	}
	old := w.AppToken(a)
	w.Advance(116 * time.Minute)
	young := w.AppToken(a)
	if old == young {
		t.Fatal("got the same token four minutes before its end, want a new one")
	}
	if got := []any{use(old), use(young)}; got[0] != 0.0 || got[1] != 0.0 {
		t.Errorf("got errcodes %v, want both to work", got)
	}
	w.Advance(4*time.Minute + time.Second)
	if got := []any{use(old), use(young)}; got[0] != 42001.0 || got[1] != 0.0 {
		t.Errorf("got errcodes %v, want the old one expired", got)
	}
}

func TestSeedMakesTheSameNames(t *testing.T) {
	t.Parallel()
	name := func(seed string) [2]string {
		w := wechattest.New(wechattest.Config{Seed: seed})
		a := w.AddApp(wechattest.App{ID: "wx1", Kind: wechattest.Mobile, Group: "g"})
		p := w.AddPerson(wechattest.Person{ID: "p"})
		return [2]string{w.OpenID(a, p), w.UnionID(a, p)}
	}
	first, again, other, random, randomAgain := name("a"), name("a"), name("b"), name(""), name("")
	if first != again {
		t.Errorf("got %q and %q from the same seed", first, again)
	}
	if first == other || random == randomAgain {
		t.Error("got the same names from other seeds")
	}
}

func TestViolations(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	a, p := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram}), w.AddPerson(wechattest.Person{})
	website := w.AddApp(wechattest.App{Kind: wechattest.Website})
	code, user, app := w.Code(a, p), w.UserToken(website, p), w.AppToken(a)
	request := func(method, target, body string, header http.Header) {
		req, err := http.NewRequestWithContext(t.Context(), method, base+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	asJSON := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	good := wechattest.PathMiniProgramCode + "?" + codeQuery(a, code).Encode()
	tests := []struct {
		name, method, target, body string
		header                     http.Header
		want                       []string
	}{
		{"nothing wrong", "GET", good, "", http.Header{}, nil},
		{"nothing wrong with POST", "POST", wechattest.PathAppToken, `{"secret":"` + a.Secret + `"}`, asJSON, nil},
		{"secret in a header", "GET", good, "", http.Header{"Authorization": {"Bearer " + a.Secret}}, []string{"header Authorization holds an app's secret"}},
		{"query in a Referer", "GET", good, "", http.Header{"Referer": {"https://x/?" + codeQuery(a, code).Encode()}}, []string{"header Referer holds an app's secret", "header Referer holds a code"}},
		{"code in a cookie", "GET", good, "", http.Header{"Cookie": {"c=" + code}}, []string{"header Cookie holds a code"}},
		{"code in the path", "GET", "/sns/" + code, "", http.Header{}, []string{"the path holds a code"}},
		{"secret where the code belongs", "GET", wechattest.PathMiniProgramCode + "?js_code=" + a.Secret, "", http.Header{}, []string{"query parameter js_code holds an app's secret"}},
		{"secret in the query of a POST", "POST", wechattest.PathAppToken + "?secret=" + a.Secret, "{}", asJSON, []string{`query parameter "secret" is undocumented`, "an undocumented query parameter holds an app's secret"}},
		{"token of the app for a person's", "GET", wechattest.PathVerify + "?access_token=" + app, "", http.Header{}, []string{"query parameter access_token holds an app's access token"}},
		{"token of a person in the body", "POST", wechattest.PathPhone, `{"code":"` + user + `"}`, asJSON, []string{"member code of the body holds a user's access token"}},
		{"parameter twice", "GET", wechattest.PathVerify + "?openid=a&openid=b", "", http.Header{}, []string{"query parameter openid is there more than once"}},
		{"body of a GET", "GET", wechattest.PathVerify, "x=" + code, http.Header{}, []string{"there is a body", "the body holds a code"}},
		{"a form", "POST", wechattest.PathAppToken, "secret=" + a.Secret, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []string{"the body is not called JSON", "the body is no JSON object", "a body that is no JSON object holds an app's secret"}},
		{"undocumented member", "POST", wechattest.PathPhone, `{"secret":1}`, asJSON, []string{`member "secret" of the body is undocumented`}},
	}
	for _, tt := range tests {
		w.ForgetViolations()
		request(tt.method, tt.target, tt.body, tt.header)
		got := w.Violations()
		found := make(map[string]bool)
		for _, v := range got {
			_, what, _ := strings.Cut(v, ": ")
			found[what] = true
			for _, secret := range []string{a.Secret, code, user, app} {
				if strings.Contains(v, secret) && tt.name != "code in the path" {
					t.Errorf("%s: %q shows a secret", tt.name, v)
				}
			}
		}
		want := make(map[string]bool)
		for _, v := range tt.want {
			want[v] = true
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%s: violations differ (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRequestsAreKept(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	a := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram})
	_ = send(t, base, wechattest.PathMiniProgramCode, codeQuery(a, "x"), "")
	_ = send(t, base, wechattest.PathAppToken, nil, `{"appid":"wx1"}`)
	if n := len(w.Requests()); n != 2 {
		t.Fatalf("got %d requests, want 2", n)
	}
	got := w.Requests(wechattest.PathAppToken)
	if len(got) != 1 || got[0].Method != http.MethodPost || string(got[0].Body) != `{"appid":"wx1"}` {
		t.Errorf("got %+v, want the POST", got)
	}
}

func TestFailTimesEndsByItself(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	w.FailTimes("", wechattest.Errcode(-1), 2)
	for i, want := range []float64{-1, -1, 40066} {
		if m := object(t, base, "/x", nil, ""); m["errcode"] != want {
			t.Errorf("request %d: got %v, want errcode %v", i+1, m, want)
		}
	}
	w.Fail("/x", wechattest.Null)
	w.Fail("", wechattest.EmptyArray)
	if got := send(t, base, "/x", nil, "").body; got != "null" {
		t.Errorf("got %s, want the mode of the path", got)
	}
	w.Heal("/x")
	if got := send(t, base, "/x", nil, "").body; got != "[]" {
		t.Errorf("got %s, want the mode of all paths", got)
	}
	if diff := cmp.Diff(map[string]wechattest.Mode{"": wechattest.EmptyArray}, w.Failures()); diff != "" {
		t.Errorf("failures differ (-want +got):\n%s", diff)
	}
}

func TestParseMode(t *testing.T) {
	t.Parallel()
	for _, mode := range append(wechattest.Modes(), wechattest.Errcode(40226), wechattest.Errcode(-1), wechattest.Delay(time.Second)) {
		if got, err := wechattest.ParseMode(string(mode)); err != nil || got != mode {
			t.Errorf("%s: got %q, %v", mode, got, err)
		}
	}
	for _, text := range []string{"", "nonsense", "errcode:", "errcode:x", "delay:soon"} {
		if _, err := wechattest.ParseMode(text); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

func TestDelayedAnswersAreRight(t *testing.T) {
	t.Parallel()
	w, base := start(t)
	a, p := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram}), w.AddPerson(wechattest.Person{})
	w.Fail("", wechattest.Delay(30*time.Millisecond))
	begun := time.Now()
	if m := object(t, base, wechattest.PathMiniProgramCode, codeQuery(a, w.Code(a, p)), ""); m["openid"] != w.OpenID(a, p) {
		t.Errorf("got %v, want the person", m)
	}
	if took := time.Since(begun); took < 30*time.Millisecond {
		t.Errorf("took %v, want at least 30 ms", took)
	}
}

func TestCloseLetsGoOfWhatHangs(t *testing.T) {
	t.Parallel()
	for _, mode := range []wechattest.Mode{wechattest.Hang, wechattest.Drip} {
		w, base := start(t)
		w.Fail("", mode)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(30*time.Millisecond, w.Close)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("%s: got %v, want an end", mode, err)
		}
		_ = resp.Body.Close()
	}
}

func TestMistakesOfATestPanic(t *testing.T) {
	t.Parallel()
	w := wechattest.New(wechattest.Config{})
	mini, mobile := w.AddApp(wechattest.App{Kind: wechattest.MiniProgram}), w.AddApp(wechattest.App{Kind: wechattest.Mobile})
	p := w.AddPerson(wechattest.Person{})
	for name, mistake := range map[string]func(){
		"app without a kind":        func() { w.AddApp(wechattest.App{}) },
		"app with a bad id":         func() { w.AddApp(wechattest.App{ID: "a b", Kind: wechattest.Mobile}) },
		"app twice":                 func() { w.AddApp(mini) },
		"person twice":              func() { w.AddPerson(p) },
		"person with a bad id":      func() { w.AddPerson(wechattest.Person{ID: "a b"}) },
		"unknown app":               func() { w.Code(wechattest.App{ID: "wx1"}, p) },
		"unknown person":            func() { w.Code(mini, wechattest.Person{ID: "nobody"}) },
		"phone code of a mobile":    func() { w.PhoneCode(mobile, p) },
		"phone code without number": func() { w.PhoneCode(mini, p) },
		"user token of a mini":      func() { w.UserToken(mini, p) },
		"unknown mode":              func() { w.Fail("", "nonsense") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			mistake()
		})
	}
}

package config_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestWeChatApps(t *testing.T) {
	t.Parallel()
	secret := write(t, "from-file\n")
	many := strings.Builder{}
	for i := range 201 {
		many.WriteString(`,{"app_id":"a` + strconv.Itoa(i) + `","secret":"s","kind":"mobile"}`)
	}
	tests := []struct {
		name, value string
		want        []config.WeChatApp
		fault       string
	}{
		{name: "empty", value: ""},
		{name: "empty list", value: "[]"},
		{
			name: "every kind",
			value: `[{"app_id":"a","secret":"1","kind":"mobile","group":"g"},{"app_id":"b","secret":"2","kind":"website","group":""},
				{"app_id":"c","secret":"3","kind":"mini_program"},{"kind":"official_account","secret":"4","app_id":"d-_"}]`,
			want: []config.WeChatApp{
				{AppID: "a", Secret: "1", Kind: config.WeChatMobile, Group: "g"},
				{AppID: "b", Secret: "2", Kind: config.WeChatWebsite},
				{AppID: "c", Secret: "3", Kind: config.WeChatMiniProgram},
				{AppID: "d-_", Secret: "4", Kind: config.WeChatOfficialAccount},
			},
		},
		{
			name:  "secret from a file",
			value: `[{"app_id":"a","secret":"file:` + secret + `","kind":"mobile"}]`,
			want:  []config.WeChatApp{{AppID: "a", Secret: "from-file", Kind: config.WeChatMobile}},
		},
		{name: "no JSON", value: "wx1:secret", fault: "is not valid JSON"},
		{name: "unfinished", value: `[{"app_id":"a"`, fault: "ends too early"},
		{name: "no list", value: `{"app_id":"a","secret":"1","kind":"mobile"}`, fault: "is no JSON list"},
		{name: "text after the list", value: `[] []`, fault: "goes on after its JSON list"},
		{name: "element is no object", value: `["a"]`, fault: "[0] is no object"},
		{name: "unknown member", value: `[{"app_id":"a","secret":"1","kind":"mobile","appid":"x"}]`, fault: `[0] has the unknown member "appid"`},
		{name: "member in another case", value: `[{"app_id":"a","secret":"1","kind":"mobile","Group":"x"}]`, fault: `[0] has the unknown member "Group"`},
		{name: "member twice", value: `[{"app_id":"a","secret":"1","secret":"2","kind":"mobile"}]`, fault: "[0].secret is there twice"},
		{name: "member of a wrong type", value: `[{"app_id":"a","secret":1,"kind":"mobile"}]`, fault: "[0].secret is no string"},
		{name: "group is null", value: `[{"app_id":"a","secret":"1","kind":"mobile","group":null}]`, fault: "[0].group is no string"},
		{name: "app_id missing", value: `[{"secret":"1","kind":"mobile"}]`, fault: "[0].app_id is missing"},
		{name: "secret missing", value: `[{"app_id":"a","kind":"mobile"}]`, fault: "[0].secret is missing"},
		{name: "kind missing", value: `[{"app_id":"a","secret":"1"}]`, fault: "[0].kind is missing"},
		{name: "app_id empty", value: `[{"app_id":"","secret":"1","kind":"mobile"}]`, fault: "[0].app_id is not 1 to 64"},
		{name: "app_id too long", value: `[{"app_id":"` + strings.Repeat("a", 65) + `","secret":"1","kind":"mobile"}]`, fault: "[0].app_id is not 1 to 64"},
		{name: "app_id with a space", value: `[{"app_id":"a ","secret":"1","kind":"mobile"}]`, fault: "[0].app_id is not 1 to 64"},
		{name: "secret empty", value: `[{"app_id":"a","secret":"","kind":"mobile"}]`, fault: "[0].secret is not 1 to 256"},
		{name: "secret with a line break", value: `[{"app_id":"a","secret":"1\n","kind":"mobile"}]`, fault: "[0].secret is not 1 to 256"},
		{name: "secret from a missing file", value: `[{"app_id":"a","secret":"file:/nonexistent/s","kind":"mobile"}]`, fault: `[0].secret is unusable: cannot open file "/nonexistent/s"`},
		{name: "kind unknown", value: `[{"app_id":"a","secret":"1","kind":"Mobile"}]`, fault: "[0].kind is unknown"},
		{name: "group with a space", value: `[{"app_id":"a","secret":"1","kind":"mobile","group":"a b"}]`, fault: "[0].group is not up to 64"},
		{
			name:  "the same app twice",
			value: `[{"app_id":"a","secret":"1","kind":"mobile"},{"app_id":"b","secret":"1","kind":"mobile"},{"app_id":"a","secret":"2","kind":"website"}]`,
			fault: "[2].app_id is the same as [0].app_id",
		},
		{name: "too many", value: "[" + many.String()[1:] + "]", fault: "has 201 apps"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--wechat-apps="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "wechat-apps", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			if diff := cmp.Diff(tt.want, got.WeChatApps, compareOptions()); diff != "" {
				t.Errorf("apps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWeChatAppsNameEveryFault(t *testing.T) {
	t.Parallel()
	_, err := serve(t, nil, "--dev", `--wechat-apps=[{"app_id":"a","kind":"x","y":1},7,{"app_id":"a","secret":"s","kind":"mobile"}]`)
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		t.Fatalf("got error %v, want config.Faults", err)
	}
	want := []string{`[0] has the unknown member "y"`, "[0].secret is missing", "[0].kind is unknown", "[1] is no object", "[2].app_id is the same as [0].app_id"}
	if len(faults) != len(want) {
		t.Fatalf("got %d faults (%v), want %d", len(faults), err, len(want))
	}
	for i, fault := range faults {
		if fault.Flag != "wechat-apps" || !strings.HasPrefix(fault.Problem, want[i]) {
			t.Errorf("got fault %+v, want one of --wechat-apps that begins with %q", fault, want[i])
		}
	}
}

// FuzzWeChatApps checks that nothing crashes the parser, that it accepts only what Settings promise, and that an error is one
// line without any of the secrets in it.
func FuzzWeChatApps(f *testing.F) {
	f.Add(`[{"app_id":"wx1","secret":"s","kind":"mobile","group":"main"}]`)
	f.Add(`[{"app_id":"a","app_id":"b","secret":"file:x","kind":"website"},{}]`)
	const content = "hunter2hunter2"
	load := func(raw string) (string, error) {
		if strings.HasPrefix(raw, "file:") {
			return content, nil
		}
		return raw, nil
	}
	f.Fuzz(func(t *testing.T, raw string) {
		apps, err := config.ParseWeChatApps(raw, load)
		if err != nil {
			if strings.Contains(err.Error(), content) && !strings.Contains(raw, content) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %q, want one line without the secret", err)
			}
			return
		}
		seen := make(map[string]bool)
		for _, app := range apps {
			if app.AppID == "" || len(app.AppID) > 64 || app.Secret == "" || app.Kind == "" || seen[app.AppID] {
				t.Errorf("got app %+v, want it refused", app)
			}
			seen[app.AppID] = true
		}
	})
}

package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestServerKeys(t *testing.T) {
	t.Parallel()
	const a, b, c = "aaaaaaaaaaaaaaaa", "bbbbbbbb!~#bbbbbb", "cccccccccccccccccc"
	one := write(t, b+"\n")
	several := write(t, b+"\r\n"+c+"\n\n")
	commas := write(t, b+", "+c)
	nested := write(t, "file:/etc/passwd")
	empty := write(t, "\n")
	large := write(t, strings.Repeat("a", 64<<10+1))
	tests := []struct {
		name, value string
		want        []config.Secret
		fault       string
	}{
		{name: "none", value: ""},
		{name: "one", value: a, want: []config.Secret{a}},
		{name: "two with a space between", value: a + ", " + b, want: []config.Secret{a, b}},
		{name: "a file without its line break", value: "file:" + one, want: []config.Secret{b}},
		{name: "a key and a file", value: a + ",file:" + one, want: []config.Secret{a, b}},
		{name: "a file with a key a line", value: "file:" + several, want: []config.Secret{b, c}},
		{name: "a file with commas", value: "file:" + commas, want: []config.Secret{b, c}},
		{name: "a short one, of which the program only warns", value: "s3cret", want: []config.Secret{"s3cret"}},
		{name: "1,025 characters", value: strings.Repeat("a", 1025), fault: "key 1 is too long"},
		{name: "a space inside", value: "aaaaaaaa aaaaaaaa", fault: "key 1 has characters other than printable ASCII"},
		{name: "not ASCII", value: a + "ü", fault: "key 1 has characters other than printable ASCII"},
		{name: "empty", value: a + ",", fault: "key 2 is empty"},
		{name: "the same twice", value: a + "," + b + "," + a, fault: "key 3 is the same as key 1"},
		{name: "the same in a file", value: b + ",file:" + one, fault: `key 1 in file "` + one + `" is the same as key 1`},
		{name: "no such file", value: "file:/nonexistent/key", fault: `cannot open file "/nonexistent/key"`},
		{name: "a directory", value: "file:" + t.TempDir(), fault: "cannot read file"},
		{name: "file: without a path", value: "file:", fault: "write file:PATH"},
		{name: "an empty file", value: "file:" + empty, fault: "is empty"},
		{name: "a file that is too large", value: "file:" + large, fault: "larger than 64 KiB"},
		{name: "a file that names a file", value: "file:" + nested, fault: "names another file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--server-keys="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "server-keys", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			if diff := cmp.Diff(tt.want, got.ServerKeys, compareOptions()); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	got := mustServe(t, "--public-url=https://a.example",
		"--database=file:"+write(t, "postgres://u:pw@h/db\n"),
		"--mail=file:"+write(t, "smtp://u:pw@h\r\n"),
		"--server-keys=file:"+write(t, "0123456789abcdef"),
		"--wechat-apps=file:"+write(t, `[{"app_id":"a","secret":"file:`+write(t, "s1\n")+`","kind":"website"}]`+"\n"))
	want := config.Settings{
		Database:   config.Database{Engine: config.Postgres, DSN: "postgres://u:pw@h/db"},
		Mail:       config.Mail{Kind: config.MailSMTP, Host: "h", Port: 587, User: "u", Password: "pw"},
		ServerKeys: []config.Secret{"0123456789abcdef"},
		WeChatApps: []config.WeChatApp{{AppID: "a", Secret: "s1", Kind: config.WeChatWebsite}},
	}
	got = config.Settings{Database: got.Database, Mail: got.Mail, ServerKeys: got.ServerKeys, WeChatApps: got.WeChatApps}
	if diff := cmp.Diff(want, got, compareOptions()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

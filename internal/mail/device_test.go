package mail_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ideaegg/latchkey/internal/auth"
	"github.com/ideaegg/latchkey/internal/mail"
)

func TestDeviceName(t *testing.T) {
	t.Parallel()
	tests := []struct{ userAgent, english, chinese string }{
		{chromeOnWindows, "Chrome on Windows", "Windows 上的 Chrome"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0", "Edge on Windows", "Windows 上的 Edge"},
		{"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox on Linux", "Linux 上的 Firefox"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari on Mac", "Mac 上的 Safari"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone", "iPhone 上的 Safari"},
		{"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0 Mobile/15E148 Safari/604.1", "Chrome on iPad", "iPad 上的 Chrome"},
		{"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung Internet on Android", "安卓上的三星浏览器"},
		{"Mozilla/5.0 (Linux; Android 14; V2309A) AppleWebKit/537.36 Version/4.0 Chrome/126.0 Mobile Safari/537.36 XWEB/1260117 MMWEBSDK/20240501 MicroMessenger/8.0.50 WeChat/arm64 NetType/WIFI Language/zh_CN ABI/arm64 MiniProgramEnv/android", "WeChat on Android", "安卓上的微信"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN", "WeChat on iPhone", "iPhone 上的微信"},
		{"Mozilla/5.0 (Linux; Android 12) AppleWebKit/537.36 Chrome/99.0 Mobile MQQBrowser/13.5 Safari/537.36", "QQ Browser on Android", "安卓上的QQ 浏览器"},
		{"Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 Chrome/81.0 Safari/537.36 wxwork/4.1.22 MicroMessenger/7.0.1", "WeCom on Windows", "Windows 上的企业微信"},
		{"IdeaEgg/3.1 (iPhone; iOS 18.0; Scale/3.00)", "iPhone", "iPhone"},
		{"Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7)", "Android", "安卓"},
		{"Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 Chrome/114.0 Safari/537.36 ArkWeb/4.1 Mobile", "Chrome on HarmonyOS", "鸿蒙上的 Chrome"},
		{"Opera/9.80 Presto/2.12", "Opera", "Opera"},
		{"IdeaEgg/2.1", "IdeaEgg/2.1", "IdeaEgg/2.1"},
		{"curl/8.5.0", "curl/8.5.0", "curl/8.5.0"},
		{"", "", ""},
		{" \t\r\n", "", ""},
		{strings.Repeat("x", 61), strings.Repeat("x", 60) + "…", strings.Repeat("x", 60) + "…"},
		{"Win a prize at https://evil.example/x or www.evil.example, write a@evil.example", "Win a prize at https:\u200b//evil.\u200bexample/x or www.\u200bevil.\u200bexample, w…", "Win a prize at https:\u200b//evil.\u200bexample/x or www.\u200bevil.\u200bexample, w…"},
	}
	for _, test := range tests {
		if got := mail.DeviceName(test.userAgent, auth.English); got != test.english {
			t.Errorf("%s: got %q, want %q", test.userAgent, got, test.english)
		}
		if got := mail.DeviceName(test.userAgent, auth.SimplifiedChinese); got != test.chinese {
			t.Errorf("%s: got %q, want %q", test.userAgent, got, test.chinese)
		}
	}
}

// FuzzDeviceName checks that what a stranger calls his device is a short line that is no link.
func FuzzDeviceName(f *testing.F) {
	f.Add(chromeOnWindows)
	f.Add("a\r\nb\x00\u202e\xff https://evil.example")
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, userAgent string) {
		for _, language := range []auth.Language{auth.English, auth.SimplifiedChinese} {
			got := mail.DeviceName(userAgent, language)
			bare := strings.ReplaceAll(got, "\u200b", "")
			if !utf8.ValidString(got) || utf8.RuneCountInString(bare) > 61 || strings.TrimSpace(bare) != bare {
				t.Errorf("got %q, want a short line", got)
			}
			if strings.ContainsFunc(got, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) }) {
				t.Errorf("got %q, want no control characters", got)
			}
			if strings.Contains(got, "://") || strings.Contains(got, "www.e") {
				t.Errorf("got %q, want no link", got)
			}
			if again := mail.OneLine(mail.OneLine(userAgent, 60), 61); again != mail.OneLine(userAgent, 60) {
				t.Errorf("got %q from %q, want one line to stay as it is", again, userAgent)
			}
		}
	})
}

package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/internal/config"
)

func TestAppURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value, fault string
	}{
		{"none", "", ""},
		{"https", "https://app.example", ""},
		{"https with path, query and fragment", "https://app.example/open?from=latchkey#top", ""},
		{"http on loopback", "http://127.0.0.1:3000/", ""},
		{"an app's own scheme", "myapp://open", ""},
		{"an app's own scheme alone", "com.example.my-app://", ""},
		{"WeChat", "weixin://dl/business/?t=abc", ""},
		{"http elsewhere", "http://app.example", "is not encrypted"},
		{"http on a name like loopback", "http://localhost.app.example", "is not encrypted"},
		{"no scheme", "app.example/open", "is not a full URL"},
		{"path", "/open", "is not a full URL"},
		{"another host without a scheme", "//app.example", "is not a full URL"},
		{"script", "javascript:alert(1)", "no app"},
		{"script with slashes", "javascript://x/%0aalert(1)", "no app"},
		{"script in capitals", "JavaScript:alert(1)", "no app"},
		{"script with a line break in the scheme", "java\nscript:alert(1)", "is not a full URL"},
		{"script with a tab in front", "\tjavascript:alert(1)", "is not a full URL"},
		{"script with a space in front", " javascript:alert(1)", "is not a full URL"},
		{"script of Windows", "vbscript:msgbox", "no app"},
		{"document in the URL", "data:text/html,<script>alert(1)</script>", "no app"},
		{"document in memory", "blob:https://app.example/1", "no app"},
		{"file", "file:///etc/passwd", "no app"},
		{"page's source", "view-source:https://app.example", "no app"},
		{"telephone", "tel:110", "no app"},
		{"own scheme without slashes", "myapp:open", "has no ://"},
		{"https without slashes", "https:app.example", "has no ://"},
		{"https without a host", "https:///open", "a host that is neither"},
		{"user information", "https://john:secret@app.example", "has user information"},
		{"space", "https://app.example/a b", "is not a full URL"},
		{"bidirectional override", "https://app.example/\u202ea", "is not a full URL"},
		{"too long", "https://app.example/" + strings.Repeat("a", 2048), "longer than 2048 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--app-url="+tt.value)
			if tt.fault != "" {
				wantFault(t, err, "app-url", tt.fault)
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("got error %q, want none of the secret in it", err)
				}
				return
			}
			if err != nil || got.AppURL != tt.value {
				t.Errorf("got %q and error %v, want %q", got.AppURL, err, tt.value)
			}
		})
	}
}

func TestAppLogo(t *testing.T) {
	t.Parallel()
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>`
	tests := []struct {
		name, content, want, fault string
	}{
		{name: "SVG", content: svg, want: "image/svg+xml"},
		{name: "SVG with a declaration and a comment", content: `<?xml version="1.0" encoding="UTF-8"?><!-- x -->` + svg, want: "image/svg+xml"},
		{name: "PNG", content: "\x89PNG\r\n\x1a\nrest", want: "image/png"},
		{name: "JPEG", content: "\xff\xd8\xff\xe0rest", want: "image/jpeg"},
		{name: "WebP", content: "RIFF\x00\x00\x00\x00WEBPVP8 ", want: "image/webp"},
		{name: "256 KiB", content: "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 256<<10-8), want: "image/png"},
		{name: "a byte more", content: "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 256<<10-7), fault: "larger than 256 KiB"},
		{name: "nothing", content: "", fault: "no SVG, PNG, JPEG or WebP"},
		{name: "GIF", content: "GIF89a", fault: "no SVG, PNG, JPEG or WebP"},
		{name: "HTML", content: "<!doctype html><html><script>alert(1)</script></html>", fault: "no SVG, PNG, JPEG or WebP"},
		{name: "XHTML", content: `<html xmlns="http://www.w3.org/1999/xhtml"/>`, fault: "no SVG, PNG, JPEG or WebP"},
		{name: "SVG without its namespace", content: `<svg viewBox="0 0 1 1"/>`, fault: "no SVG, PNG, JPEG or WebP"},
		{name: "SVG cut short", content: svg[:40], fault: "no SVG, PNG, JPEG or WebP"},
		{name: "SVG in another encoding", content: `<?xml version="1.0" encoding="UTF-16"?>` + svg, fault: "no SVG, PNG, JPEG or WebP"},
		{name: "text", content: "logo", fault: "no SVG, PNG, JPEG or WebP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, nil, "--dev", "--app-logo="+write(t, tt.content))
			if tt.fault != "" {
				wantFault(t, err, "app-logo", tt.fault)
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			if diff := cmp.Diff(config.Logo{MediaType: tt.want, Content: []byte(tt.content)}, got.AppLogo); diff != "" {
				t.Errorf("logo (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("missing file", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil, "--dev", "--app-logo="+t.TempDir()+"/none.svg")
		wantFault(t, err, "app-logo", "cannot open")
	})
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		_, err := serve(t, nil, "--dev", "--app-logo="+t.TempDir())
		wantFault(t, err, "app-logo", "cannot read")
	})
}

// readLogo returns what --app-logo=testdata/logo.svg stands for.
func readLogo(t *testing.T) config.Logo {
	t.Helper()
	b, err := os.ReadFile("testdata/logo.svg")
	if err != nil {
		t.Fatal(err)
	}
	return config.Logo{MediaType: "image/svg+xml", Content: b}
}

package wechattest

import (
	"net/http/httptest"
	"testing"
)

// Server is a stand-in that listens on loopback.
type Server struct {
	*WeChat
	URL string // for wechat.Config.BaseURL and PageBaseURL
}

// NewServer starts a stand-in that ends with the test. At the end it fails the test with what Violations has, so that
// every test that signs somebody in also checks that secrets go only where they belong.
func NewServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	s := &Server{WeChat: New(cfg)}
	server := httptest.NewServer(s.WeChat)
	s.URL = server.URL
	t.Cleanup(func() {
		s.Close()
		server.CloseClientConnections()
		server.Close()
		for _, v := range s.Violations() {
			t.Errorf("wechattest: %s", v)
		}
	})
	return s
}

package web

import (
	"net/http"
	"slices"
	"strings"
)

// access says what a route does with a session token.
type access int

const (
	open         access = iota // no token is looked at, but two that differ are refused
	optionalAuth               // a token may be given; a bad one is refused all the same
	requiredAuth
	forProxies // as requiredAuth; a body that comes with it is left alone
	outside    // not part of the API: documentation, health checks
	hosted     // a page for people: no token is looked at, forms of other origins are refused
)

// anyMethod stands for all methods, also for unknown ones.
const anyMethod = "*"

// route is one line of the table.
type route struct {
	method  string
	path    string // may end in one {wildcard} segment, or in {all...} segments
	access  access
	handler func(*call) error
}

// table is every route of the server. API paths stand behind the base path; what is outside the API stays at the root.
func (s *Server) table() []route {
	api := []route{
		{http.MethodPost, "/sign_up", optionalAuth, s.signUp},
		{http.MethodPost, "/sign_up/confirm", optionalAuth, s.confirmSignUp},
		{http.MethodPost, "/sign_in", open, s.signIn},
		{http.MethodPost, "/sign_in_with/{provider}", optionalAuth, s.signInWith},
		{http.MethodGet, authorizePath, hosted, s.authorize},
		{http.MethodGet, callbackPath, hosted, s.callback},
		{http.MethodPost, "/sign_in_with/code", optionalAuth, s.signInWithCode},
		{http.MethodPost, "/sign_up_temporarily", open, s.signUpTemporarily},
		{http.MethodPost, "/sign_up_temporarily`", open, s.signUpTemporarily}, // the seed's example, word for word
		{http.MethodPost, "/reset_password", open, s.requestReset},
		{http.MethodPut, "/reset_password", open, s.resetPassword},

		{http.MethodGet, "/user", requiredAuth, s.getUser},
		{http.MethodPut, "/user", requiredAuth, s.putUser},
		{http.MethodDelete, "/user", requiredAuth, s.deleteUser},
		{http.MethodPut, "/user/password", requiredAuth, s.putPassword},
		{http.MethodPut, "/user/email", requiredAuth, s.putEmail},
		{http.MethodPost, "/user/email/verify", requiredAuth, s.verifyEmail},
		{http.MethodPost, "/user/email/verification", requiredAuth, s.requestVerification},
		{http.MethodGet, "/user/identities", requiredAuth, s.listIdentities},
		{http.MethodPost, "/user/identities/wechat", requiredAuth, s.linkWeChat},
		{http.MethodDelete, "/user/identities/{id}", requiredAuth, s.deleteIdentity},

		{http.MethodPost, "/sign_out", requiredAuth, s.signOut},
		{http.MethodGet, "/user/sessions", requiredAuth, s.listSessions},
		{http.MethodDelete, "/user/sessions", requiredAuth, s.deleteOtherSessions},
		{http.MethodDelete, "/user/sessions/{id}", requiredAuth, s.deleteSession},

		{http.MethodGet, "/wechat/access_token", open, s.appToken},
		{http.MethodPost, "/introspect", open, s.introspect},
		{anyMethod, verifyPath, forProxies, s.verify},
		{anyMethod, verifyPath + "/{original...}", forProxies, s.verify},
	}
	document := []route{
		{http.MethodGet, "/openapi.json", outside, serve(s.doc.ServeDocument)},
		{http.MethodGet, "/docs", outside, serve(s.doc.ServeDocs)},
		{http.MethodGet, "/docs/{asset}", outside, serve(s.doc.ServeAsset)},
	}
	root := []route{
		{http.MethodGet, "/healthz", outside, s.healthz},
		{http.MethodGet, "/readyz", outside, s.readyz},
	}
	if s.cfg.DevInbox != nil {
		root = append(root, s.devRoutes()...)
	}
	table := slices.Concat(root, document, s.pageRoutes())
	if s.cfg.BasePath != "" {
		api = append(api, document...) // people look for it beside the API too
	}
	for _, r := range api {
		r.path = s.cfg.BasePath + r.path
		table = append(table, r)
	}
	return table
}

// Routes lists method and path of every route of the API, as the OpenAPI document writes them: pages for people and the
// dev inbox are no part of it, and of what is answered whatever the method and the rest of the path only GET is.
func (s *Server) Routes() [][2]string {
	var list [][2]string
	for _, r := range s.table() {
		if r.method == anyMethod {
			r.method = http.MethodGet
		}
		if r.access != hosted && !strings.HasPrefix(r.path, "/dev/") && !strings.HasSuffix(r.path, "...}") {
			list = append(list, [2]string{r.method, r.path})
		}
	}
	return list
}

// routes finds a route by path and method.
type routes struct {
	exact    map[string][]route
	wildcard map[string][]route // by what stands before the {wildcard}
	below    []route            // for any method; with {all...} cut off
}

func newRoutes(table []route) routes {
	rs := routes{exact: make(map[string][]route), wildcard: make(map[string][]route)}
	for _, r := range table {
		at := strings.IndexByte(r.path, '{')
		switch {
		case strings.HasSuffix(r.path, "...}"):
			r.path = r.path[:at]
			rs.below = append(rs.below, r)
		case at >= 0:
			rs.wildcard[r.path[:at]] = append(rs.wildcard[r.path[:at]], r)
		default:
			rs.exact[r.path] = append(rs.exact[r.path], r)
		}
	}
	return rs
}

// find sets the call's route and wildcard, or returns errNoRoute or a *methodError. HEAD is answered as GET is.
func (rs routes) find(c *call) error {
	path := c.r.URL.Path
	candidates := rs.exact[path]
	if candidates == nil {
		slash := strings.LastIndexByte(path, '/') + 1
		candidates, c.wildcard = rs.wildcard[path[:slash]], path[slash:]
		if c.wildcard == "" {
			candidates = nil
		}
	}
	for i := range rs.below {
		if candidates == nil && strings.HasPrefix(path, rs.below[i].path) {
			candidates = rs.below[i : i+1]
		}
	}
	if candidates == nil {
		return errNoRoute
	}
	var allowed []string
	for i := range candidates {
		r := &candidates[i]
		if r.method == c.r.Method || r.method == anyMethod || r.method == http.MethodGet && c.r.Method == http.MethodHead {
			c.route = r
			return nil
		}
		allowed = append(allowed, r.method)
		if r.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return &methodError{allowed: strings.Join(allowed, ", ")}
}

// notFound answers for a plain handler that has nothing at the path, as any other unknown path is answered.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	c := &call{w: responseWriter{ResponseWriter: w}, r: r, server: s, ids: [1]string{w.Header().Get("X-Request-Id")}}
	c.fail(errNoRoute)
}

// serve makes a plain handler a route's.
func serve(h http.HandlerFunc) func(*call) error {
	return func(c *call) error {
		h(&c.w, c.r)
		return nil
	}
}

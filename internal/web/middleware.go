package web

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
)

// middleware is what every request goes through before and after it is dispatched, outermost first.
func (s *Server) middleware(dispatch step) step {
	return s.observe( // one log line, whatever happens inside
		s.setHeaders( // also on errors
			s.recoverPanics( // a fault of one request ends that request alone
				s.findAddress( // limits and sessions ask for it
					dispatch))))
}

func (s *Server) observe(next step) step {
	return func(c *call) {
		next(c)
		if c.w.status == 0 {
			c.w.status = http.StatusOK // what net/http sends for a handler that writes nothing, as to HEAD
		}
		s.observer.observe(c, s.cfg.Now())
	}
}

func (s *Server) setHeaders(next step) step {
	return func(c *call) {
		h := c.w.Header()
		h["Cache-Control"] = noStore
		h["X-Content-Type-Options"] = noSniff
		h["X-Request-Id"] = c.ids[:]
		if len(c.r.TransferEncoding) > 0 {
			// A request with chunks may have had a length too, which net/http takes away. A proxy that went by the length
			// would take what follows for the next answer's: after such a request nothing may follow (RFC 9112 §6.1).
			h["Connection"] = closeConnection
		}
		next(c)
	}
}

// Values of headers that many answers have. net/http reads them only.
var (
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
	jsonType = []string{"application/json"}

	closeConnection = []string{"close"}
)

func (s *Server) recoverPanics(next step) step {
	return func(c *call) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			s.cfg.Logger.Error("panic", "request_id", c.id(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if c.w.status == 0 {
				c.fail(fmt.Errorf("panic: %v", v))
			}
		}()
		next(c)
	}
}

func (s *Server) findAddress(next step) step {
	return func(c *call) {
		c.address = clientAddress(c.r, s.cfg.TrustedProxies)
		next(c)
	}
}

// dispatch finds the route, checks the token that the route asks for, and runs the handler.
func (s *Server) dispatch(c *call) {
	if err := s.handle(c); err != nil {
		c.fail(err)
	}
}

func (s *Server) handle(c *call) error {
	if c.isHosted() {
		c.choose(c.query("lang"))
	}
	if err := s.routes.find(c); err != nil {
		return err
	}
	if c.route.access == hosted && s.crossOrigin.Check(c.r) != nil {
		return errCrossOrigin
	}
	if c.route.access == forProxies {
		c.leaveBody()
	}
	if err := c.authenticate(c.route.access); err != nil {
		return err
	}
	return c.route.handler(c)
}

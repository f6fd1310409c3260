package mail

import (
	"context"
	"fmt"
)

// Sender delivers messages.
type Sender interface {
	// Send delivers the message, or returns why not: a *SendError says how to go on, after any other error the
	// message is tried again. Once ctx ends, which it does when the message must not be sent any more, Send hands
	// nothing over and returns soon.
	Send(ctx context.Context, m Message) error
}

// A prober is a Sender that can find out whether anything can be sent at all, without a message.
type prober interface {
	// Probe returns nil, or why nothing can be sent, as Send does.
	Probe(context.Context) error
}

// Trouble is a class of reasons why a message was not sent.
type Trouble int

// The troubles.
const (
	// TroubleLater: this message cannot be sent now, and others perhaps can.
	TroubleLater Trouble = iota
	// TroubleNever: the server will not have this message, or its recipient, however often it is tried.
	TroubleNever
	// TroubleBroken: the connection broke or fell silent over this message, perhaps because of it, perhaps not.
	TroubleBroken
	// TroubleUnreachable: nothing can be sent at present; that may pass by itself.
	TroubleUnreachable
	// TroubleUnwelcome: nothing can be sent until an operator changes something: password, certificate, sender.
	TroubleUnwelcome
)

// SendError says why a message was not sent. Neither the message's link and code nor a password are in it.
type SendError struct {
	Trouble Trouble
	Phase   string // what was under way: "connect", "TLS", "AUTH", …
	Code    int    // of the server's reply; 0 if there was none
	Reason  string // the server's words on one line, or what happened
}

func (e *SendError) Error() string {
	if e.Code == 0 {
		return e.Phase + ": " + e.Reason
	}
	return fmt.Sprintf("%s: %d %s", e.Phase, e.Code, e.Reason)
}

// closed says that the trouble concerns every message.
func (e *SendError) closed() bool {
	return e.Trouble == TroubleUnreachable || e.Trouble == TroubleUnwelcome
}

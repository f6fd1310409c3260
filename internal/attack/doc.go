// Package attack tries to get in: hostile clients against the real program, over HTTP, on both engines.
//
// It holds tests only. TestAttacks runs a table of cases, each with a name and the weakness, clause or incident that it
// is about. A case shows that the attack is refused and that nothing changed by it, and that the same request in its
// honest form goes through, so that none passes because everything is refused.
package attack

// Package nodetest shows that several nodes on one PostgreSQL are one service, whatever happens to a node, to the database
// or to the network between them.
//
// It holds tests only. They run the real program as processes of their own, against PostgreSQL servers of their own, which
// they kill. Some take many seconds: with -short the same tests do the same things less often.
package nodetest

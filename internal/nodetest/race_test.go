//go:build race

package nodetest_test

// buildFlags has the program watched by the race detector if the tests are.
var buildFlags = []string{"-race"}

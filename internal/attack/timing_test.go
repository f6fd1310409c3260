package attack_test

import (
	"os"
)

// long says whether what takes long is to be run.
func long() bool { return os.Getenv("LATCHKEY_TEST_LONG") != "" }

package config

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// A Setting describes one setting of `latchkey serve` as its user sees it.
type Setting struct {
	Flag    string // without the dashes
	Env     string
	Default string // empty if there is none, or if it depends on other settings
	Group   string
	Help    string
}

// Table lists the settings of `latchkey serve` in the order of the help, --config included, so that documents can be
// checked against them. An error means that the tags of Serve are wrong.
func Table() ([]Setting, error) {
	parser, err := kong.New(&Serve{}, kong.NoDefaultHelp())
	if err != nil {
		return nil, fmt.Errorf("describe the settings: %w", err)
	}
	var table []Setting
	for _, flag := range parser.Model.Flags {
		s := Setting{Flag: flag.Name, Env: EnvName(flag.Name), Default: flag.Default, Help: flag.Help}
		if flag.Group != nil {
			s.Group = flag.Group.Title
		}
		table = append(table, s)
	}
	return table, nil
}

// formatHelp adds the default and the environment variable to the help of a setting.
func formatHelp(value *kong.Value) string {
	if !value.Tag.Has("setting") {
		return kong.DefaultHelpValueFormatter(value)
	}
	if value.Default == "" {
		return fmt.Sprintf("%s [%s]", value.Help, EnvName(value.Name))
	}
	return fmt.Sprintf("%s [%s, default %s]", value.Help, EnvName(value.Name), value.Default)
}

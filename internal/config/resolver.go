package config

import (
	"maps"
	"strings"

	"github.com/alecthomas/kong"
)

// lookup reads one environment variable, as os.LookupEnv does. It has a type of its own because kong hands out bindings by type.
type lookup func(name string) (string, bool)

// WithEnvironment is the option that makes kong fill the structs of this package from the environment and the config file,
// and show the environment variable and the default of each setting in the help. env is os.LookupEnv in a real program.
//
// Only commands that embed ConfigFile are filled; flags without a `setting` tag are left alone. Variables that are no
// setting are ignored, whatever their prefix: Kubernetes sets LATCHKEY_PORT and the like by itself for a service of this name.
func WithEnvironment(env func(name string) (string, bool)) kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		if err := kong.Bind(lookup(env)).Apply(k); err != nil {
			return err
		}
		return kong.ValueFormatter(formatHelp).Apply(k)
	})
}

// EnvName returns the environment variable of a flag: LATCHKEY_PUBLIC_URL for "public-url".
func EnvName(flag string) string {
	return "LATCHKEY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// ConfigFile holds the raw --config setting. A command that embeds it gets its other settings from the environment and
// from the file; what is wrong with the file becomes part of the error of the command's Settings.
type ConfigFile struct {
	Config string `name:"config" setting:"env" placeholder:"FILE" group:"Start" help:"JSON file with an object of settings, named like the flags: public-url or public_url. Example: --config=/etc/latchkey.json"`

	problems   problems // what is wrong with the file
	incomplete bool     // a value of the file, or all of it, could not be used
}

// BeforeResolve is called by kong once the command line is read. It reads the file and has kong ask for every flag that is not given.
func (c *ConfigFile) BeforeResolve(ctx *kong.Context, env lookup) error {
	r := resolver{env: env}
	c.problems, c.incomplete = nil, false
	if path := r.configPath(ctx); path != "" {
		r.file, c.problems, c.incomplete = loadFile(path, fileKeys(ctx.Model.Node))
	}
	ctx.AddResolver(r)
	return nil
}

// faults returns what is wrong with the file.
func (c ConfigFile) faults() Faults {
	var faults Faults
	for _, problem := range c.problems {
		faults = append(faults, Fault{Flag: "config", Problem: problem})
	}
	return faults
}

// resolver gives kong the values of settings that are not on the command line: from the environment, else from the file.
type resolver struct {
	env  lookup
	file map[string]string // flag → raw value
}

var _ kong.Resolver = resolver{}

// Validate implements kong.Resolver. Faults are reported by the Settings methods, with those of the values.
func (resolver) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (r resolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !flag.Tag.Has("setting") {
		return nil, nil
	}
	if v, ok := r.env(EnvName(flag.Name)); ok && v != "" {
		return v, nil
	}
	if v, ok := r.file[flag.Name]; ok {
		return v, nil
	}
	return nil, nil
}

// configPath returns the value of --config, which is needed before kong has resolved anything; empty if there is none.
func (r resolver) configPath(ctx *kong.Context) string {
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "config" {
			return ctx.Value(p).String()
		}
	}
	path, _ := r.env(EnvName("config"))
	return path
}

// fileKeys returns the settings that a config file may hold, with the value of their `setting` tag. They are those of all
// commands, so that one file can serve all of them.
func fileKeys(root *kong.Node) map[string]string {
	keys := make(map[string]string)
	for _, flag := range root.Flags {
		if kind := flag.Tag.Get("setting"); kind != "" && kind != "env" {
			keys[flag.Name] = kind
		}
	}
	for _, child := range root.Children {
		maps.Copy(keys, fileKeys(child))
	}
	return keys
}

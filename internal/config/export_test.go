package config

// ParseWeChatApps lets the fuzz test replace the reading of files.
func ParseWeChatApps(raw string, load func(raw string) (string, error)) ([]WeChatApp, error) {
	return parseWeChatApps(raw, load)
}

// ParseRedirects is parseRedirects.
func ParseRedirects(raw string) ([]string, error) { return parseRedirects(raw) }

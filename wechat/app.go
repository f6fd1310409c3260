package wechat

// Kind is a kind of app. It decides which of WeChat's calls the app's codes belong to.
type Kind string

// The kinds of apps.
const (
	Mobile          Kind = "mobile"           // 移动应用, with WeChat's SDK
	Website         Kind = "website"          // 网站应用, with a QR code on a page
	MiniProgram     Kind = "mini_program"     // 小程序
	OfficialAccount Kind = "official_account" // 服务号, pages inside WeChat
)

// App is an app as WeChat registered it.
type App struct {
	ID     AppID
	Secret AppSecret
	Kind   Kind
}

// AppID is the public name of an app: 1 to 64 letters, digits, "_" and "-".
type AppID string

// OpenID is the name of a person in one app: 1 to 128 letters, digits, "_" and "-", case-sensitive. WeChat documents
// no form; all that are seen have 28 characters.
type OpenID string

// UnionID is the name of a person in all apps of one Open Platform account, of the same form as OpenID. It is empty
// when WeChat gave none: UnionID 机制说明.
type UnionID string

const (
	maxAppID  = 64
	maxOpenID = 128
)

// check returns a *Error of class ErrMisconfigured if WeChat could not know the app.
func (a App) check(call string) error {
	switch {
	case !isName(string(a.ID), maxAppID):
		return &Error{Class: ErrMisconfigured, Call: call, detail: "the app's id is malformed"}
	case a.Secret == "":
		return &Error{Class: ErrMisconfigured, Call: call, detail: "the app has no secret"}
	}
	return nil
}

// isName says whether s is 1 to limit letters, digits, "_" and "-".
func isName(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '_' && s[i] != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ideaegg/latchkey"
	"github.com/ideaegg/latchkey/internal/auth"
)

// messageKey names a message that does not follow from a member and its code.
type messageKey string

const (
	msgUnauthorized       messageKey = "unauthorized"
	msgInvalidCredentials messageKey = "invalid_credentials"
	msgForbidden          messageKey = "forbidden"
	msgCrossOrigin        messageKey = "cross_origin"
	msgNoRoute            messageKey = "no_route"
	msgNotFound           messageKey = "not_found"
	msgMethod             messageKey = "method"
	msgIdentityTaken      messageKey = "identity_taken"
	msgUnproven           messageKey = "unproven"
	msgHasIdentity        messageKey = "has_identity"
	msgLastWayIn          messageKey = "last_way_in"
	msgGuest              messageKey = "guest"
	msgBlocked            messageKey = "blocked"
	msgSnapshotUser       messageKey = "snapshot_user"
	msgKeySpent           messageKey = "key_spent"
	msgKeyInvalid         messageKey = "key_invalid"
	msgTokenConflict      messageKey = "token_conflict"
	msgBadJSON            messageKey = "bad_json"
	msgBadRequest         messageKey = "bad_request"
	msgTooLarge           messageKey = "too_large"
	msgMediaType          messageKey = "media_type"
	msgNotText            messageKey = "not_text"     // takes the member's label
	msgRateLimited        messageKey = "rate_limited" // takes the wait
)

// translated is one text in English and in Simplified Chinese.
type translated struct{ en, zh string }

func (t translated) in(l auth.Language) string {
	if l == auth.SimplifiedChinese {
		return t.zh
	}
	return t.en
}

var messages = map[messageKey]translated{
	msgUnauthorized:       {"401 Unauthorized", "401 Unauthorized"}, // the contract's words, in every language
	msgInvalidCredentials: {"Login or password is wrong.", "账号或密码错误。"},
	msgForbidden:          {"Please sign in again first.", "请先重新登录。"},
	msgCrossOrigin:        {"Forms are accepted from this service's own pages only.", "仅接受从本服务页面提交的表单。"},
	msgNoRoute:            {"There is nothing at this path.", "该路径不存在。"},
	msgNotFound:           {"There is no such thing.", "该内容不存在。"},
	msgMethod:             {"This path does not take this method.", "该路径不支持此请求方法。"},
	msgIdentityTaken:      {"This WeChat account belongs to another user.", "该微信账号已属于其他用户。"},
	msgUnproven:           {"Nothing proves this WeChat account. Please sign in with WeChat again.", "无法确认微信身份，请重新使用微信登录。"},
	msgHasIdentity:        {"Another WeChat account is linked here already. Remove it first.", "已绑定其他微信账号，请先解绑。"},
	msgLastWayIn:          {"This is the only way to sign in. Set a password or link another account first.", "这是唯一的登录方式，请先设置密码或绑定其他账号。"},
	msgGuest:              {"Guests cannot do this. Please sign up first.", "游客无法执行此操作，请先注册。"},
	msgBlocked:            {"WeChat does not let this account sign in just now.", "该微信账号存在风险，暂时无法登录。"},
	msgSnapshotUser:       {"Please open the full service in WeChat and sign in there.", "请在微信中点击“使用完整服务”后登录。"},
	msgKeySpent:           {"The guest of this Idempotency-Key has become a user or is gone. Please sign in, or start with a new key.", "该 Idempotency-Key 对应的游客已成为正式用户或已不存在，请登录，或使用新的 Idempotency-Key。"},
	msgKeyInvalid:         {"Idempotency-Key must be a single header line of 16 to 128 visible ASCII characters, a UUID for example.", "Idempotency-Key 只能出现一次，且必须是 16 到 128 个可见的 ASCII 字符，例如一个 UUID。"},
	msgTokenConflict:      {"The request carries two different tokens.", "请求中包含两个不同的令牌。"},
	msgBadJSON:            {"The body must be one JSON object in UTF-8, with each member once and spelled as documented.", "请求体必须是一个 UTF-8 编码的 JSON 对象，每个字段只出现一次，且大小写与文档一致。"},
	msgBadRequest:         {"The request could not be read.", "无法读取该请求。"},
	msgTooLarge:           {"The body may have at most 16 KiB.", "请求体不能超过 16 KiB。"},
	msgMediaType:          {"The body must be sent as application/json.", "请求体必须以 application/json 格式发送。"},
	msgNotText:            {"%s must be text.", "%s必须是字符串。"},
	msgRateLimited:        {"Too many attempts. Try again in %s.", "尝试次数过多，请在 %s后重试。"},
}

// codeMessages are for the answers that blame no member.
var codeMessages = map[latchkey.Code]translated{
	latchkey.CodeOverloaded:     {"Too many people are signing in just now. Please try again in a moment.", "当前登录人数过多，请稍后重试。"},
	latchkey.CodeUnavailable:    {"The service is not available just now. Please try again in a moment.", "服务暂时不可用，请稍后重试。"},
	latchkey.CodeUpstreamFailed: {"WeChat did not answer as it should. Please try again later.", "微信服务返回异常，请稍后重试。"},
	latchkey.CodeInternal:       {"Something went wrong on our side.", "服务器内部错误。"},
}

func codeMessage(l auth.Language, code latchkey.Code) string { return codeMessages[code].in(l) }

// labels are the members' names for people.
var labels = map[string]translated{
	"username":              {"Username", "用户名"},
	"email":                 {"E-mail address", "邮箱地址"},
	"password":              {"Password", "密码"},
	"password_confirmation": {"Password confirmation", "确认密码"},
	"current_password":      {"Current password", "当前密码"},
	"fullname":              {"Full name", "姓名"},
	"avatar":                {"Avatar", "头像"},
	"phone_number":          {"Phone number", "手机号"},
	"login":                 {"Login", "账号"},
	"token":                 {"Token", "令牌"},
	"code":                  {"Code", "验证码"},
	"phone_code":            {"Phone code", "手机号授权码"},
	"provider":              {"Provider", "登录方式"},
	"app_id":                {"App id", "应用 ID"},
	"redirect_to":           {"redirect_to", "redirect_to"},
	"state":                 {"state", "state"},
	"code_challenge":        {"code_challenge", "code_challenge"},
	"code_challenge_method": {"code_challenge_method", "code_challenge_method"},
}

// codeTexts are the sentences of the field codes; they take the member's label and, where there is one, the limit.
var codeTexts = map[latchkey.FieldCode]translated{
	latchkey.FieldRequired:    {"%s is required.", "%s不能为空。"},
	latchkey.FieldInvalid:     {"%s is invalid.", "%s无效。"},
	latchkey.FieldTaken:       {"%s is already taken.", "%s已被占用。"},
	latchkey.FieldMismatch:    {"%s does not match.", "%s不一致。"},
	latchkey.FieldTooCommon:   {"%s is too easy to guess.", "%s过于简单，容易被猜到。"},
	latchkey.FieldReserved:    {"%s is reserved.", "%s为保留名称。"},
	latchkey.FieldUnsupported: {"%s is not supported.", "不支持该%s。"},
	latchkey.FieldTooShort:    {"%s must have at least %d characters.", "%s至少需要 %d 个字符。"},
	latchkey.FieldTooLong:     {"%s may have at most %d characters.", "%s不能超过 %d 个字符。"},
}

// specialTexts are for members of which the general sentence would say too little.
var specialTexts = map[string]translated{
	"username invalid": {
		"Username may have letters a-z, digits, '_', '.' and '-', and must start with a letter or digit.",
		"用户名只能包含字母 a-z、数字、“_”、“.”和“-”，且必须以字母或数字开头。",
	},
	"email too_long":                 {"%s may have at most %d bytes.", "%s不能超过 %d 个字节。"},
	"avatar too_long":                {"%s may have at most %d bytes.", "%s不能超过 %d 个字节。"},
	"password_confirmation mismatch": {"Password confirmation does not match the password.", "两次输入的密码不一致。"},
	"password invalid":               {"This is not the password that was chosen when signing up.", "这不是注册时设置的密码。"},
	"current_password invalid":       {"Current password is wrong.", "当前密码错误。"},
	"token invalid":                  {"This link is used up, too old or not complete. Please ask for a new one.", "该链接已使用、已过期或不完整，请重新获取。"},
	"code invalid":                   {"This code is wrong, used up or too old.", "验证码错误、已使用或已过期。"},
}

// waitText is a time to wait, in seconds or, from two minutes on, in minutes, rounded up.
func waitText(l auth.Language, wait time.Duration) string {
	n, unit := wholeSeconds(wait), translated{"second", "秒"}
	if n >= 120 {
		n, unit = (n+59)/60, translated{"minute", "分钟"}
	}
	text := strconv.Itoa(n) + " " + unit.in(l)
	if l == auth.English && n != 1 {
		text += "s"
	}
	return text
}

// localPartTooLong is for an address of which the part before the @ is too long.
var localPartTooLong = translated{
	"%s may have at most %d characters before the @.",
	"%s中“@”之前的部分不能超过 %d 个字符。",
}

// text is the message for people.
func (f fieldFault) text(l auth.Language) string {
	label := f.field
	if t, ok := labels[f.field]; ok {
		label = t.in(l)
	}
	if f.message != "" {
		m := messages[f.message].in(l)
		if f.message == msgRateLimited {
			label = waitText(l, f.wait)
		}
		if strings.Contains(m, "%s") {
			return fmt.Sprintf(m, label)
		}
		return m
	}
	t, special := specialTexts[f.field+" "+string(f.code)]
	if !special {
		t = codeTexts[f.code]
	}
	if f.field == "email" && f.code == latchkey.FieldTooLong && f.limit == auth.MaxEmailLocal {
		t = localPartTooLong
	}
	m := t.in(l)
	switch {
	case strings.Contains(m, "%d"):
		return fmt.Sprintf(m, label, f.limit)
	case special:
		return m
	}
	return fmt.Sprintf(m, label)
}

package mail

import (
	"strings"

	"github.com/ideaegg/latchkey/internal/auth"
)

// longestDevice is how much of an unknown User-Agent is shown, in characters: enough to tell whether it was one's own,
// too little for an attacker's message.
const longestDevice = 60

// product is a program or a system that can be told by a part of the User-Agent.
type product struct {
	mark    string // in the User-Agent
	name    string
	chinese string // empty: name
}

// programs stand in the order in which they are looked for: many call themselves by the names of others as well.
var programs = []product{
	{"wxwork", "WeCom", "企业微信"},
	{"MicroMessenger", "WeChat", "微信"},
	{"DingTalk", "DingTalk", "钉钉"},
	{"AlipayClient", "Alipay", "支付宝"},
	{"QQBrowser", "QQ Browser", "QQ 浏览器"}, // MQQBrowser, too
	{" QQ/", "QQ", ""},
	{"UCBrowser", "UC Browser", "UC 浏览器"},
	{"HuaweiBrowser", "Huawei Browser", "华为浏览器"},
	{"MiuiBrowser", "Mi Browser", "小米浏览器"},
	{"SamsungBrowser", "Samsung Internet", "三星浏览器"},
	{"Edg", "Edge", ""}, // Edg, EdgA, EdgiOS, Edge
	{"OPR/", "Opera", ""},
	{"Opera", "Opera", ""},
	{"Firefox", "Firefox", ""},
	{"FxiOS", "Firefox", ""},
	{"CriOS", "Chrome", ""},
	{"Chrome", "Chrome", ""},
	{"Chromium", "Chrome", ""},
	{"Safari", "Safari", ""},
}

var systems = []product{
	{"iPhone", "iPhone", ""},
	{"iPad", "iPad", ""},
	{"HarmonyOS", "HarmonyOS", "鸿蒙"},
	{"OpenHarmony", "HarmonyOS", "鸿蒙"},
	{"Android", "Android", "安卓"},
	{"Windows", "Windows", ""},
	{"Macintosh", "Mac", ""},
	{"CrOS", "ChromeOS", ""},
	{"Linux", "Linux", ""},
}

// deviceName says roughly what a User-Agent is, in a few words of the reader's language: "Chrome on Windows",
// "iPhone". What is not known is shown as it is, in part.
func deviceName(userAgent string, language auth.Language) string {
	program, system := find(programs, userAgent, language), find(systems, userAgent, language)
	switch {
	case system == "" && program == "":
		return inert(oneLine(userAgent, longestDevice))
	case system == "":
		return program
	case program == "":
		return system
	case language == auth.SimplifiedChinese:
		before, after := spaceAtASCII(system), spaceAtASCII(program)
		return system + before + "上的" + after + program
	}
	return program + " on " + system
}

// spaceAtASCII is what Chinese text has between itself and a word in Latin letters.
func spaceAtASCII(word string) string {
	if isASCII(word) {
		return " "
	}
	return ""
}

func find(list []product, userAgent string, language auth.Language) string {
	for _, p := range list {
		if !strings.Contains(userAgent, p.mark) {
			continue
		}
		if language == auth.SimplifiedChinese && p.chinese != "" {
			return p.chinese
		}
		return p.name
	}
	return ""
}

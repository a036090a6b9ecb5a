using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Skinnybox
{
    /// <summary>
    /// JSON (RFC 8259) to Dictionary, object[], string, double, long, bool and null. The framework's own reader takes
    /// a name such as "/Date(0)/" for a date, and anybody may call a machine so.
    /// </summary>
    internal sealed class JsonReader
    {
        private const int Deepest = 64;
        private readonly string text;
        private int at;
        private int depth;

        private JsonReader(string text)
        {
            this.text = text;
        }

        /// <summary>Trouble for what is no JSON, or deeper than any answer of a pool.</summary>
        public static object Read(string text)
        {
            var reader = new JsonReader(text);
            object value = reader.Value();
            if (reader.Next() != '\0' || reader.at < text.Length)
            {
                throw Json.Unreadable("JSON");
            }
            return value;
        }

        /// <summary>The next character that is no white space, '\0' at the end; it is not taken.</summary>
        private char Next()
        {
            while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0)
            {
                at++;
            }
            return at < text.Length ? text[at] : '\0';
        }

        private void Take(string expected)
        {
            if (string.CompareOrdinal(text, at, expected, 0, expected.Length) != 0)
            {
                throw Json.Unreadable("JSON");
            }
            at += expected.Length;
        }

        private object Value()
        {
            switch (Next())
            {
                case '{':
                    return Nested(Members);
                case '[':
                    return Nested(Elements);
                case '"':
                    return String();
                case 't':
                    Take("true");
                    return true;
                case 'f':
                    Take("false");
                    return false;
                case 'n':
                    Take("null");
                    return null;
                default:
                    return Number();
            }
        }

        private delegate object Inside();

        private object Nested(Inside read)
        {
            if (++depth > Deepest)
            {
                throw Json.Unreadable("something less deep");
            }
            at++;
            object value = read();
            depth--;
            return value;
        }

        private object Members()
        {
            var members = new Dictionary<string, object>();
            while (IsMore('}', members.Count > 0))
            {
                if (Next() != '"')
                {
                    throw Json.Unreadable("JSON");
                }
                string key = String();
                Next();
                Take(":");
                members[key] = Value();
            }
            return members;
        }

        private object Elements()
        {
            var elements = new List<object>();
            while (IsMore(']', elements.Count > 0))
            {
                elements.Add(Value());
            }
            return elements.ToArray();
        }

        /// <summary>Takes the end, or the comma before one more.</summary>
        private bool IsMore(char end, bool isLater)
        {
            if (Next() == end)
            {
                at++;
                return false;
            }
            if (isLater)
            {
                Take(",");
            }
            return true;
        }

        private string String()
        {
            var read = new StringBuilder();
            for (at++; at < text.Length && text[at] != '"'; at++)
            {
                read.Append(text[at] == '\\' ? Escaped() : text[at]);
            }
            Take("\"");
            return read.ToString();
        }

        private char Escaped()
        {
            at++;
            int which = at < text.Length ? "\"\\/bfnrtu".IndexOf(text[at]) : -1;
            if (which < 0)
            {
                throw Json.Unreadable("JSON");
            }
            if (which < 8)
            {
                return "\"\\/\b\f\n\r\t"[which];
            }
            int code;
            string digits = at + 4 < text.Length ? text.Substring(at + 1, 4) : "";
            if (!int.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out code))
            {
                throw Json.Unreadable("JSON");
            }
            at += 4;
            return (char)code;
        }

        private object Number()
        {
            int start = at;
            while (at < text.Length && "+-.0123456789eE".IndexOf(text[at]) >= 0)
            {
                at++;
            }
            string digits = text.Substring(start, at - start);
            long whole;
            double value;
            if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out whole))
            {
                return whole;
            }
            if (!double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out value))
            {
                throw Json.Unreadable("JSON");
            }
            return value;
        }
    }
}

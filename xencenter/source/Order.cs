using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;

namespace Skinnybox
{
    /// <summary>
    /// What the dom0 plugin is to make: its function, and the arguments as texts. Checked as the plugin checks them,
    /// so that a slip is told before anything is asked of the pool; the plugin checks again.
    /// </summary>
    internal sealed class Order
    {
        public const int Most = 500;
        private const int MostLayers = 16;
        private const string Hostname = "lower-case letters, digits and inner hyphens, at most 63";
        private static readonly Regex NameForm = new Regex(@"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z");
        private static readonly Regex PrefixForm = new Regex(@"\A[a-z0-9][a-z0-9-]{0,61}\z");
        private static readonly Regex NumberForm = new Regex(@"\A[0-9]{1,15}\z");
        private const string HostnamePart = "lower-case letters, digits and hyphens, at most 62";
        private static readonly string[] OfMachines =
        {
            "template", "master", "layers", "overlay", "sr", "network", "start", "authorized_keys", "user", "follow_name"
        };
        private static readonly Dictionary<string, string[]> Known = new Dictionary<string, string[]>
        {
            { "batch", OfMachines.Concat(new[] { "prefix", "first", "last", "padding" }).ToArray() },
            { "provision", OfMachines.Concat(new[] { "name" }).ToArray() },
            { "create_template", new[] { "template", "name", "overlay", "sr", "network", "memory", "vcpus" } }
        };

        public readonly string Function;
        public readonly IDictionary<string, string> Values;

        /// <summary>Of the machines, in order; of a template, its own.</summary>
        public readonly IList<string> Names;

        /// <summary>What is said of layers, the lowest first.</summary>
        public readonly IList<string> Layers;

        /// <summary>Bytes; null where the template says it.</summary>
        public readonly long? Overlay;

        /// <summary>Trouble of Usage for what the plugin would refuse. What is "" counts as not given.</summary>
        public Order(string function, IEnumerable<KeyValuePair<string, string>> given)
        {
            Function = function;
            Values = given.Where(each => each.Value != "").ToDictionary(each => each.Key, each => each.Value);
            string unknown = Values.Keys.FirstOrDefault(key => !Known[function].Contains(key));
            if (unknown != null)
            {
                throw Wrong(unknown, "this is nothing that " + function + " takes", string.Join(", ", Known[function]));
            }
            foreach (string key in new[] { "template", function == "create_template" ? "name" : "master" })
            {
                Needed(key);
            }
            Overlay = Values.ContainsKey("overlay") ? Sizes.Read("overlay", Values["overlay"]) : (long?)null;
            Names = function == "batch" ? Numbered() : new List<string> { OnlyName() };
            Layers = Values.ContainsKey("layers") ? Listed() : new List<string>();
            CheckRest();
        }

        public bool IsStart
        {
            get { return Values.ContainsKey("start") && Values["start"] == "true"; }
        }

        private string Needed(string key)
        {
            string value;
            if (!Values.TryGetValue(key, out value))
            {
                throw Wrong(key, "is missing", "say which");
            }
            if (value.Length > 200)
            {
                throw Wrong(key, "is too long", "1 to 200 characters");
            }
            return value;
        }

        private IList<string> Listed()
        {
            List<string> wanted = Values["layers"].Split(',').Select(each => each.Trim()).ToList();
            if (wanted.Count > MostLayers || wanted.Any(each => each == "" || each.Length > 200))
            {
                string what = wanted.Count > MostLayers ? wanted.Count + " are too many" : "cannot be taken";
                string expected = "1 to " + MostLayers + " layers of the pool, the lowest first, commas between them";
                throw Wrong("layers", what, expected);
            }
            return wanted;
        }

        private string OnlyName()
        {
            string name = Needed("name");
            if (Function == "provision" && !NameForm.IsMatch(name))
            {
                throw Wrong("name", "\"" + name + "\" is no name of a machine", Hostname);
            }
            return name;
        }

        private IList<string> Numbered()
        {
            string prefix = Needed("prefix");
            if (!PrefixForm.IsMatch(prefix))
            {
                throw Wrong("prefix", "\"" + prefix + "\" cannot begin the name of a machine", HostnamePart);
            }
            int first = Number("first", 0, 999999, 1);
            int last = Number("last", 0, 999999, null);
            int padding = Number("padding", 0, 9, 0);
            if (last < first || last - first >= Most)
            {
                string expected = "at least the first number, and at most " + Most + " machines";
                throw Wrong("last", last + " after " + first + " is no batch", expected);
            }
            string form = "D" + (padding == 0 ? 1 : padding);
            List<string> names = Enumerable.Range(first, last - first + 1)
                .Select(number => prefix + number.ToString(form, CultureInfo.InvariantCulture)).ToList();
            string wrong = names.FirstOrDefault(name => !NameForm.IsMatch(name));
            if (wrong != null)
            {
                throw Wrong("prefix", wrong + " is no name of a machine", Hostname);
            }
            return names;
        }

        private int Number(string key, int least, int most, int? otherwise)
        {
            string text;
            if (!Values.TryGetValue(key, out text) && otherwise != null)
            {
                return otherwise.Value;
            }
            text = Needed(key);
            if (!NumberForm.IsMatch(text) || decimal.Parse(text) < least || decimal.Parse(text) > most)
            {
                throw Wrong(key, "\"" + text + "\" cannot be taken", "a number from " + least + " to " + most);
            }
            return int.Parse(text, CultureInfo.InvariantCulture);
        }

        private void CheckRest()
        {
            if (Values.ContainsKey("memory"))
            {
                Sizes.Read("memory", Values["memory"]);
            }
            if (Values.ContainsKey("vcpus"))
            {
                Number("vcpus", 1, 64, null);
            }
            if (Values.ContainsKey("start") && Values["start"] != "true" && Values["start"] != "false")
            {
                throw Wrong("start", "\"" + Values["start"] + "\" cannot be taken", "true or false");
            }
        }

        private static Trouble Wrong(string key, string what, string expected)
        {
            return new Trouble(Printable.Line(key + ": " + what + "."), "Expected: " + expected + ".", Ending.Usage);
        }
    }
}

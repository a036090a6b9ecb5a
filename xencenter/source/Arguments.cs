using System;
using System.Collections.Generic;
using System.Linq;

namespace Skinnybox
{
    /// <summary>One object that was selected in XenCenter: four words of the command line.</summary>
    internal sealed class Target
    {
        public readonly Uri Url;
        public readonly string Session;

        /// <summary>XenCenter's own word: Pool, Host, VM (templates too), SR; "blank" of a whole connection.</summary>
        public readonly string Kind;
        public readonly string Uuid;

        public Target(Uri url, string session, string kind, string uuid)
        {
            Url = url;
            Session = session;
            Kind = kind;
            Uuid = uuid;
        }
    }

    /// <summary>
    /// The command line: VERB [--text] [KEY=VALUE...] and for each selected object URL SESSION CLASS UUID, as
    /// XenCenter appends them, without quotes.
    /// </summary>
    internal sealed class Arguments
    {
        private const string Nothing = "null";
        private const string Blank = "blank";
        private static readonly string[] Verbs = { "batch", "provision", "create_template", "changes" };

        public readonly string Verb;

        /// <summary>No window: what is missing is an error, and all is said on the standard streams.</summary>
        public readonly bool IsText;

        /// <summary>Only say what would be done. Needs IsText.</summary>
        public readonly bool IsPreview;
        public readonly IDictionary<string, string> Values;
        public readonly IList<Target> Targets;

        private Arguments(string verb, ICollection<string> options, IDictionary<string, string> values, IList<Target> targets)
        {
            Verb = verb;
            IsText = options.Contains("--text");
            IsPreview = options.Contains("--preview");
            Values = values;
            Targets = targets;
        }

        /// <summary>Trouble of Usage for what XenCenter never passes.</summary>
        public static Arguments Read(string[] words)
        {
            if (words.Length == 0 || !Verbs.Contains(words[0]))
            {
                throw Wrong("The first word has to be one of " + string.Join(", ", Verbs) + ".");
            }
            int start = Enumerable.Range(1, words.Length - 1).FirstOrDefault(at => BeginsTarget(words[at]));
            string[] own = start == 0 ? words.Skip(1).ToArray() : words.Skip(1).Take(start - 1).ToArray();
            string[] selected = start == 0 ? new string[0] : words.Skip(start).ToArray();
            List<string> options = own.Where(word => word.StartsWith("--", StringComparison.Ordinal)).ToList();
            string unknown = options.FirstOrDefault(word => word != "--text" && word != "--preview");
            if (unknown != null)
            {
                throw Wrong("There is no option " + unknown + ".");
            }
            return new Arguments(words[0], options, ReadValues(own.Except(options)), ReadTargets(selected));
        }

        /// <summary>
        /// The one pool that all selected objects are in. Trouble when there are several, or none that is connected.
        /// </summary>
        public Target OnlyPool()
        {
            List<Target> connected = Targets.Where(each => each.Url != null && each.Session != Nothing).ToList();
            if (connected.Count == 0)
            {
                throw new Trouble(
                    "No connected pool is selected.", "Connect to the pool in XenCenter and select it.", Ending.Usage);
            }
            if (connected.Select(each => each.Url.Authority).Distinct().Count() > 1)
            {
                throw new Trouble("Objects of several pools are selected.", "Select objects of one pool.", Ending.Usage);
            }
            return connected[0];
        }

        /// <summary>Whether it is one object, and not a whole connection.</summary>
        public static bool IsObject(Target target)
        {
            return target.Uuid != Blank && target.Uuid != Nothing;
        }

        private static bool BeginsTarget(string word)
        {
            return word == Nothing
                || word.StartsWith("http://", StringComparison.OrdinalIgnoreCase)
                || word.StartsWith("https://", StringComparison.OrdinalIgnoreCase);
        }

        private static IDictionary<string, string> ReadValues(IEnumerable<string> words)
        {
            var values = new Dictionary<string, string>();
            foreach (string word in words)
            {
                int at = word.IndexOf('=');
                if (at <= 0)
                {
                    throw Wrong("\"" + word + "\" is neither KEY=VALUE nor a URL.");
                }
                values[word.Substring(0, at)] = word.Substring(at + 1);
            }
            return values;
        }

        private static IList<Target> ReadTargets(string[] words)
        {
            if (words.Length % 4 != 0)
            {
                throw Wrong("Four words are needed for each selected object: URL SESSION CLASS UUID.");
            }
            return Enumerable.Range(0, words.Length / 4).Select(at => ReadTarget(words, at * 4)).ToList();
        }

        private static Target ReadTarget(string[] words, int at)
        {
            Uri url = null;
            if (words[at] != Nothing && !(BeginsTarget(words[at]) && Uri.TryCreate(words[at], UriKind.Absolute, out url)))
            {
                throw Wrong("\"" + words[at] + "\" is no URL of a pool.");
            }
            return new Target(url, words[at + 1], words[at + 2], words[at + 3]);
        }

        private static Trouble Wrong(string message)
        {
            return new Trouble(
                Printable.Line(message),
                "XenCenter starts this program from its menus. By hand: "
                    + "Skinnybox.exe batch --text KEY=VALUE... URL SESSION CLASS UUID",
                Ending.Usage);
        }
    }
}

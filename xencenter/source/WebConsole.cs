using System;
using System.IO;
using System.Xml;

namespace Skinnybox
{
    /// <summary>Where the web console is: as the plugin's descriptor says, which XenCenter's tab goes by too.</summary>
    internal static class WebConsole
    {
        public const string Descriptor = "Skinnybox.xcplugin.xml";
        private const string PoolTab = "skinnybox_pool";

        /// <summary>Null where none is configured.</summary>
        public static Uri Find(string folder)
        {
            string path = Path.Combine(folder, Descriptor);
            if (!File.Exists(path))
            {
                return null;
            }
            try
            {
                var document = new XmlDocument { XmlResolver = null };
                document.Load(path);
                foreach (XmlNode tab in document.GetElementsByTagName("TabPage"))
                {
                    Uri url;
                    bool ours = tab.Attributes["name"] != null && tab.Attributes["name"].Value == PoolTab;
                    if (ours && Uri.TryCreate(tab.Attributes["url"].Value, UriKind.Absolute, out url) && IsWeb(url))
                    {
                        return url;
                    }
                }
            }
            catch (XmlException error)
            {
                throw new Trouble(Printable.Line(Descriptor + " cannot be read: " + error.Message), "Install the plugin again.");
            }
            return null;
        }

        /// <summary>
        /// What a machine made its own. Trouble where no console is configured. The name is a stranger's: it can lead to
        /// no other place than below the console's machines.
        /// </summary>
        public static Uri Changes(Uri console, string machine)
        {
            if (console == null)
            {
                string name = machine == null ? "NAME" : Printable.Line(machine);
                throw new Trouble(
                    "No web console is configured for this plugin.",
                    "On the computer with Skinnybox: skinnybox changes " + name + ". To have a console here: "
                        + "docs/how-to/xencenter.md.",
                    Ending.Unsupported);
            }
            return new Uri(console, machine == null ? "machines" : "machines/" + Uri.EscapeDataString(machine) + "/changes");
        }

        private static bool IsWeb(Uri url)
        {
            return url.Scheme == "http" || url.Scheme == "https";
        }
    }
}

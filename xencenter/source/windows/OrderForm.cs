using System;
using System.Collections.Generic;
using System.Drawing;
using System.Linq;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>
    /// The window of one order: reads the pool, is filled in, shows what would be made, makes it, shows what came of
    /// it. All waiting is done beside it.
    /// </summary>
    internal sealed class OrderForm : Form
    {
        private const int Inner = 570;
        private readonly Arguments arguments;
        private readonly Pool pool;
        private readonly string function;
        private readonly FlowLayoutPanel column;
        private readonly Label title;
        private readonly Label status;
        private readonly PreviewPanel preview = new PreviewPanel(Inner);
        private readonly Button make = new Button { AutoSize = true, MinimumSize = new Size(110, 28), Text = "Create" };
        private readonly Button close = new Button { AutoSize = true, MinimumSize = new Size(90, 28), Text = "Close" };
        private readonly SpaceReader spaces;
        private Fields fields;
        private Inventory inventory;
        private Making making;
        private PluginRun running;
        private bool isClosing;
        private string place = "";

        /// <summary>How it ended; Done as well when nothing was asked for.</summary>
        public Ending Ending { get; private set; }

        public OrderForm(Arguments arguments, Pool pool)
        {
            this.arguments = arguments;
            this.pool = pool;
            function = arguments.Verb;
            spaces = new SpaceReader(this, pool, ShowPreview, ShowTrouble);
            title = Look.Text(Inner);
            title.Font = Look.Large;
            Call(Title());
            status = Look.Text(Inner);
            column = new FlowLayoutPanel
            {
                FlowDirection = FlowDirection.TopDown,
                WrapContents = false,
                AutoSize = true,
                AutoSizeMode = AutoSizeMode.GrowAndShrink,
                Padding = new Padding(14)
            };
            SetUp();
        }

        private void SetUp()
        {
            Font = Look.Plain;
            AutoScaleMode = AutoScaleMode.Font;
            FormBorderStyle = FormBorderStyle.FixedDialog;
            MaximizeBox = false;
            StartPosition = FormStartPosition.CenterScreen;
            AutoSize = true;
            AutoSizeMode = AutoSizeMode.GrowAndShrink;
            column.Controls.AddRange(new Control[] { title, status, Buttons() });
            Controls.Add(column);
            make.Click += (sender, nothing) => Make();
            close.Click += (sender, nothing) => Close();
            CancelButton = close;
            AcceptButton = make;
            make.Enabled = false;
            status.Text = "Reading the pool at " + pool.Url.Host + " ...";
        }

        /// <summary>In the window and in the taskbar.</summary>
        private void Call(string what)
        {
            title.Text = what;
            Text = "Skinnybox: " + what;
        }

        private string Title()
        {
            return function == "batch" ? "Create machines" : function == "provision" ? "Create a machine" : "Create a template";
        }

        private Control Buttons()
        {
            var row = new FlowLayoutPanel
            {
                FlowDirection = FlowDirection.RightToLeft,
                WrapContents = false,
                Width = Inner + 6,
                Height = 40,
                Margin = new Padding(0, 8, 0, 0)
            };
            row.Controls.Add(close);
            row.Controls.Add(make);
            return row;
        }

        protected override void OnShown(EventArgs nothing)
        {
            base.OnShown(nothing);
            Read();
        }

        private void Read()
        {
            Background.Run(
                this,
                () => Tuple.Create(new Inventory(pool), new Space(pool, Preview.Usual)),
                read => Offer(read.Item1, read.Item2),
                error => Retry(error, Read));
        }

        /// <summary>A certificate that nobody confirmed is asked about, and then it is tried again.</summary>
        private void Retry(Exception error, Action again)
        {
            var untrusted = error as Untrusted;
            if (untrusted != null && CertificateQuestion.Ask(this, untrusted))
            {
                pool.Certificate.Confirm(untrusted.Authority, untrusted.Fingerprint);
                again();
                return;
            }
            ShowTrouble(error);
        }

        private void Offer(Inventory read, Space space)
        {
            inventory = read;
            spaces.Keep(Preview.Usual, space);
            fields = OrderFields.Make(arguments, read, space);
            OrderFields.Preset(fields, arguments, read);
            place = "In the pool at " + pool.Url.Host + ". " + Advice();
            status.Text = place;
            Insert(fields);
            if (function != "create_template")
            {
                Insert(preview);
            }
            fields.Edited += (sender, nothing) => ShowPreview();
            ShowPreview();
            CenterToScreen();
            fields.Start(function == "batch" ? "prefix" : "name");
        }

        private string Advice()
        {
            if (function != "create_template" && inventory.Masters.Count == 0)
            {
                return "It has no master yet: upload one with skinnybox --host xapi://...";
            }
            if (function != "create_template" && inventory.ThinTemplates.Count == 0)
            {
                return "It has no template for thin machines yet: Create template makes one.";
            }
            return "";
        }

        private void Insert(Control control)
        {
            column.Controls.Add(control);
            column.Controls.SetChildIndex(control, column.Controls.Count - 2);
        }

        private void ShowPreview()
        {
            if (fields == null || making != null)
            {
                return;
            }
            try
            {
                var order = new Order(function, fields.Values);
                make.Text = order.Names.Count == 1 ? "Create" : "Create " + order.Names.Count + " machines";
                Text = "Skinnybox: " + make.Text;
                make.Enabled = function == "create_template" || Show(order);
                title.Text = Title();
                status.Text = place;
                status.ForeColor = SystemColors.ControlText;
            }
            catch (Trouble mistake)
            {
                make.Enabled = false;
                Text = "Skinnybox: " + Title();
                ShowMistake(mistake);
            }
        }

        private void ShowMistake(Trouble mistake)
        {
            if (function == "create_template")
            {
                status.Text = mistake.Message + " " + mistake.Hint;
                status.ForeColor = Look.Wrong;
            }
            preview.ShowMistake(mistake);
        }

        /// <summary>Whether nothing speaks against it.</summary>
        private bool Show(Order order)
        {
            Space space = spaces.For(Preview.OverlayOf(order, inventory));
            if (space == null)
            {
                Text = "Skinnybox: " + Title();
                preview.ShowWaiting(string.Join(", ", order.Names.Take(3)), "Asking the pool for its space ...");
                return false;
            }
            var shown = new Preview(order, inventory, space.Find(Preview.StorageOf(order, inventory)));
            preview.ShowPreview(shown);
            return shown.Problem == "";
        }

        private void Make()
        {
            var order = new Order(function, fields.Values);
            running = new PluginRun(pool, order);
            making = new Making(order, Inner);
            make.Visible = false;
            close.Text = "Cancel";
            column.Controls.Remove(fields);
            column.Controls.Remove(preview);
            Insert(making);
            Call("Creating " + (order.Names.Count == 1 ? Printable.Line(order.Names[0]) : order.Names.Count + " machines"));
            status.Text = "Keep XenCenter connected: the pool works in its session.";
            Background.Run(this, () => running.Run(Follow), ShowResults, Fail);
        }

        private void Follow(MachineWatch watch)
        {
            Background.Tell(this, () => making.ShowStages(watch));
        }

        private void ShowResults(IList<Made> made)
        {
            making.ShowResults(made);
            int failed = made.Count(each => each.Error != "");
            Ending = failed == 0 ? Ending.Done : Ending.Failed;
            Call(failed == 0 ? "Done" : failed + " of " + made.Count + " could not be started");
            status.Text = failed == 0
                ? made.Count == 1 ? Printable.Line(made[0].Name) + " is made." : made.Count + " machines are made."
                : "They are there: start them when the reason is gone.";
            End();
        }

        private void Fail(Exception error)
        {
            making.ShowFailure(running.IsLost);
            ShowTrouble(error);
            End();
        }

        private void End()
        {
            running = null;
            close.Text = "Close";
            close.Enabled = true;
            close.Focus();
            if (isClosing)
            {
                Close();
            }
        }

        private void ShowTrouble(Exception error)
        {
            var untrusted = error as Untrusted;
            Trouble trouble = untrusted != null ? untrusted.AsTrouble() : error as Trouble
                ?? new Trouble("A mistake of this program: " + error, "Please report it.", Ending.OurBug);
            Ending = trouble.Ending;
            Call(trouble.Code == "SKINNYBOX_CANCELLED" ? "Cancelled" : "It did not work");
            status.ForeColor = Look.Wrong;
            status.Text = trouble.ToString();
            make.Enabled = false;
        }

        /// <summary>XenCenter's Cancel closes it too. The first time it asks the pool to take all back, and waits.</summary>
        protected override void OnFormClosing(FormClosingEventArgs closing)
        {
            if (running != null && !isClosing && closing.CloseReason != CloseReason.WindowsShutDown)
            {
                isClosing = true;
                Ending = Ending.Failed;
                closing.Cancel = true;
                close.Enabled = false;
                status.Text = "Cancelling: the pool takes back what it made ...";
                running.Cancel();
            }
            base.OnFormClosing(closing);
        }
    }
}

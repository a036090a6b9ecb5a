using System.Drawing;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>What the order would make, or what is wrong with it.</summary>
    internal sealed class PreviewPanel : TableLayoutPanel
    {
        private readonly Label names;
        private readonly Label layers;
        private readonly SpaceBar bar;
        private readonly Label space;
        private readonly Label problem;

        public PreviewPanel(int width)
        {
            ColumnCount = 1;
            AutoSize = true;
            AutoSizeMode = AutoSizeMode.GrowAndShrink;
            names = Look.Text(width);
            layers = Look.Text(width);
            layers.Visible = false;
            bar = new SpaceBar { Width = width, Margin = new Padding(3, 6, 3, 2) };
            space = Look.Text(width);
            problem = Look.Text(width);
            problem.MinimumSize = new System.Drawing.Size(0, problem.Font.Height + 2);
            Controls.Add(names);
            Controls.Add(layers);
            Controls.Add(bar);
            Controls.Add(space);
            Controls.Add(problem);
        }

        public void ShowPreview(Preview preview)
        {
            names.Text = Printable.Line(preview.Names);
            layers.Text = Printable.Line(preview.LayersLine);
            layers.Visible = preview.LayersLine != "";
            space.Text = preview.SpaceLine;
            bar.Show(preview);
            ShowProblem(preview.Warning, preview.Problem != "" ? Look.Wrong : Look.Warning);
        }

        public void ShowMistake(Trouble mistake)
        {
            names.Text = "";
            layers.Visible = false;
            space.Text = "";
            bar.Show(null);
            ShowProblem(mistake.Message + " " + mistake.Hint, Look.Wrong);
        }

        public void ShowWaiting(string names, string what)
        {
            this.names.Text = Printable.Line(names);
            layers.Visible = false;
            space.Text = what;
            bar.Show(null);
            ShowProblem("", Look.Wrong);
        }

        private void ShowProblem(string text, Color colour)
        {
            problem.Text = Printable.Line(text);
            problem.ForeColor = colour;
        }
    }
}
